// Implements ink.hpp: the ground, and the lines on it.

#include "ink.hpp"

#include <algorithm>
#include <vector>

namespace lenet {
namespace {

// Of 255: the least by which ink stands out.
constexpr int least_contrast = 14;

struct Line {
    int count, start, rise; // points on it, the row at the left edge, rows from there to the right edge
    int row(int column, int columns) const { return start + rise * column / columns; }
};

// The length of the run of ink along the column through each pixel, to 255; 0 where there is none.
Plane run_lengths(const Plane& ink, int faint) {
    Plane tall(ink.rows, ink.columns);
    std::vector<int> run(std::size_t(ink.columns), 0);
    for (int r = 0; r < ink.rows; ++r)
        for (int c = 0; c < ink.columns; ++c) {
            int& length = run[std::size_t(c)];
            length = ink.at(r, c) > faint ? length + 1 : 0;
            tall.at(r, c) = std::uint8_t(std::min(length, 255));
        }
    for (int r = ink.rows - 2; r >= 0; --r)
        for (int c = 0; c < ink.columns; ++c)
            if (tall.at(r, c) && tall.at(r + 1, c))
                tall.at(r, c) = std::max(tall.at(r, c), tall.at(r + 1, c));
    return tall;
}

// Points that a line may be on, column by column: of the k-th of every `step` columns the rows from
// `begin[k]` to `begin[k + 1]`.
struct Points {
    int step;
    std::vector<int> rows, begin;
};

// Every line that at least `wanted` of the points are on, the fullest first: each slope up to a fifth, as a
// rise over the whole width, and each row at the left edge (Hough 1962, in slope and intercept).
std::vector<Line> find_lines(const Points& points, int wanted, int rows, int columns) {
    const int most = columns / 5;
    std::vector<Line> lines;
    std::vector<int> counts;
    for (int rise = -most; rise <= most; ++rise) {
        counts.assign(std::size_t(rows + 2 * most + 2), 0);
        for (std::size_t k = 0; k + 1 < points.begin.size(); ++k) {
            int* const votes = counts.data() + most - rise * (int(k) * points.step) / columns;
            for (int i = points.begin[k]; i < points.begin[k + 1]; ++i) ++votes[points.rows[std::size_t(i)]];
        }
        for (int start = 0; start + 1 < int(counts.size()); ++start)
            if (counts[std::size_t(start)] >= wanted)
                lines.push_back({counts[std::size_t(start)], start - most, rise});
    }
    std::stable_sort(lines.begin(), lines.end(),
                     [](const Line& a, const Line& b) { return a.count > b.count; });
    return lines;
}

} // namespace

Ground lift(const Plane& dark, int window) {
    const auto total = std::int64_t(dark.size());
    // The lightest, but for a tenth.
    Ground found{window ? closed(dark, window)
                        : Plane(dark.rows, dark.columns,
                                static_cast<std::uint8_t>(quantile(levels_of(dark), total, 900))),
                 Plane(dark.rows, dark.columns), 0};
    const int light = quantile(levels_of(found.ground), total, 900);
    const int least = std::max(40, light * 2 / 5);
    for (size_t i = 0; i < dark.size(); ++i) {
        const int ground = found.ground.values[i];
        found.ink.values[i] =
            static_cast<std::uint8_t>(std::max(ground - dark.values[i], 0) * 255 / std::max(ground, least));
    }
    const auto counts = levels_of(found.ink);
    const int low = quantile(counts, total, 50), middle = quantile(counts, total, 300);
    const int spread = middle - low, offset = middle + spread / 2;
    found.faint = std::max(least_contrast, 4 * spread);
    for (auto& value : found.ink.values) value = static_cast<std::uint8_t>(std::max(value - offset, 0));
    return found;
}

int erase_rules(Plane& ink, int faint, Plane& gone) {
    const int rows = ink.rows, columns = ink.columns;
    const int thick = std::max(3, std::min(rows, columns) / 40), step = std::max(1, columns / 200);
    const int wanted = (columns + step - 1) / step * 11 / 20;
    const Plane tall = run_lengths(ink, faint);
    const auto is_thin = [&](int r, int c, int limit) { return tall.at(r, c) && tall.at(r, c) <= limit; };
    Points points{step, {}, {0}};
    for (int c = 0; c < columns; c += step) {
        for (int r = 0; r < rows; ++r)
            if (is_thin(r, c, thick)) points.rows.push_back(r);
        points.begin.push_back(int(points.rows.size()));
    }
    if (int(points.rows.size()) < wanted) return 0;
    int found = 0;
    for (const Line& line : find_lines(points, wanted, rows, columns)) {
        int left = 0;
        for (int c = 0; c < columns; c += step) {
            const int r = line.row(c, columns);
            left += r >= 0 && r < rows && is_thin(r, c, thick) && !gone.at(r, c);
        }
        if (left < wanted) continue;
        ++found;
        for (int c = 0; c < columns; ++c) {
            const int middle = line.row(c, columns);
            for (int r = std::max(0, middle - thick); r <= std::min(rows - 1, middle + thick); ++r)
                if (is_thin(r, c, thick + 1)) gone.at(r, c) = 1;
        }
    }
    for (std::size_t i = 0; i < ink.size(); ++i)
        if (gone.values[i]) ink.values[i] = 0;
    return found;
}

} // namespace lenet
