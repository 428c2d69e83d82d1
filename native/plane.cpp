// Implements plane.hpp: windows by doubling, levels, and the filter.

#include "plane.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <utility>

namespace lenet {
namespace {

// The highest of each value and of the one `ahead`, of all but the last `ahead`; `out` is not `in`.
void join_ahead(const std::uint8_t* __restrict in, std::uint8_t* __restrict out, std::size_t n,
                std::size_t ahead) {
    for (std::size_t i = 0; i + ahead < n; ++i) out[i] = std::max(in[i], in[i + ahead]);
}

// The highest of the `window` values around each, along rows; `to` has their size.  Some rows at once,
// each with room for a window behind it, are one long row.
void maximum_along_rows(const Plane& in, Plane& to, int window) {
    constexpr int most = 1 << 14; // values at once
    const int before = window / 2, length = in.columns + window;
    const int some = std::min(in.rows, std::max(1, most / length));
    Bytes now(std::size_t(some) * std::size_t(length)), next(now.size());
    for (int first = 0; first < in.rows; first += some) {
        const int rows = std::min(some, in.rows - first);
        const std::size_t n = std::size_t(rows) * std::size_t(length);
        std::fill(now.begin(), now.end(), std::uint8_t(0));
        for (int r = 0; r < rows; ++r)
            std::copy(in.row(first + r), in.row(first + r) + in.columns,
                      now.data() + std::ptrdiff_t(r) * length + before);
        int size = 1;
        for (; size * 2 <= window; size *= 2) {
            join_ahead(now.data(), next.data(), n, std::size_t(size));
            now.swap(next);
        }
        join_ahead(now.data(), next.data(), n, std::size_t(window - size));
        for (int r = 0; r < rows; ++r) {
            const std::uint8_t* from = next.data() + std::ptrdiff_t(r) * length;
            std::copy(from, from + in.columns, to.row(first + r));
        }
    }
}

Plane padded(const Plane& in, int by) {
    Plane out(in.rows + 2 * by, in.columns + 2 * by);
    for (int r = 0; r < out.rows; ++r) {
        const std::uint8_t* from = in.row(std::clamp(r - by, 0, in.rows - 1));
        std::uint8_t* to = out.row(r);
        std::fill(to, to + by, from[0]);
        std::copy(from, from + in.columns, to + by);
        std::fill(to + by + in.columns, to + out.columns, from[in.columns - 1]);
    }
    return out;
}

Plane inner(const Plane& in, int by) {
    Plane out(in.rows - 2 * by, in.columns - 2 * by);
    for (int r = 0; r < out.rows; ++r)
        std::copy(in.row(r + by) + by, in.row(r + by) + by + out.columns, out.row(r));
    return out;
}

constexpr double pi = 3.14159265358979323846;

double sinc(double x) { return x == 0.0 ? 1.0 : std::sin(x * pi) / (x * pi); }
double lanczos(double x) { return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

struct Weights {
    std::vector<int> first, count, weight;
    int most = 0;
};

Weights weights_for(int in, int out) {
    const double scale = static_cast<double>(in) / out, wide = std::max(scale, 1.0), support = 3.0 * wide;
    Weights w;
    w.most = static_cast<int>(std::ceil(support)) * 2 + 1;
    w.weight.assign(w.most * out, 0);
    std::vector<double> k(w.most);
    for (int i = 0; i < out; ++i) {
        const double center = (i + 0.5) * scale, inverse = 1.0 / wide;
        const int low = std::max(static_cast<int>(center - support + 0.5), 0);
        const int high = std::min(static_cast<int>(center + support + 0.5), in) - low;
        double total = 0.0;
        for (int x = 0; x < high; ++x) total += k[x] = lanczos((x + low - center + 0.5) * inverse);
        for (int x = 0; x < high; ++x) {
            const double part = (total != 0.0 ? k[x] / total : k[x]) * (1 << 22);
            w.weight[i * w.most + x] = static_cast<int>(part < 0 ? part - 0.5 : part + 0.5);
        }
        w.first.push_back(low);
        w.count.push_back(high);
    }
    return w;
}

// Those for small pictures are kept, for they take longer than the rest.
const Weights& kept_weights_for(int in, int out) {
    constexpr int most_kept = 64;
    thread_local std::map<std::pair<int, int>, Weights> kept;
    thread_local Weights last;
    if (in > most_kept || out > most_kept) return last = weights_for(in, out);
    const auto [place, is_new] = kept.try_emplace({in, out});
    if (is_new) place->second = weights_for(in, out);
    return place->second;
}

std::uint8_t clipped(int sum) { return static_cast<std::uint8_t>(std::clamp(sum >> 22, 0, 255)); }

} // namespace

Plane grey_of(const std::uint8_t* colours, int rows, int columns) {
    Plane grey(rows, columns);
    for (std::size_t i = 0; i < grey.size(); ++i) {
        const std::uint8_t* at = colours + 3 * i;
        grey.values[i] = std::uint8_t((19595 * at[0] + 38470 * at[1] + 7471 * at[2] + 0x8000) >> 16);
    }
    return grey;
}

Plane maximum(const Plane& in, int window) {
    Plane wide(in.rows, in.columns);
    maximum_along_rows(in, wide, window);
    // Below each other: the value `size` rows below is `size` times the columns ahead.
    const std::size_t columns = std::size_t(in.columns);
    Plane now(in.rows + window, in.columns), next = now;
    std::copy(wide.values.begin(), wide.values.end(), now.row(window / 2));
    int size = 1;
    for (; size * 2 <= window; size *= 2) {
        join_ahead(now.values.data(), next.values.data(), now.size(), std::size_t(size) * columns);
        now.values.swap(next.values);
    }
    join_ahead(now.values.data(), wide.values.data(), wide.size() + std::size_t(window - size) * columns,
               std::size_t(window - size) * columns);
    return wide;
}

Plane turned(Plane plane) {
    for (auto& value : plane.values) value = static_cast<std::uint8_t>(255 - value);
    return plane;
}

Plane closed(const Plane& in, int window) {
    const int by = window / 2;
    Plane wide = maximum(padded(in, by), window);
    return inner(turned(maximum(turned(std::move(wide)), window)), by);
}

Plane flipped(const Plane& in) {
    Plane out(in.columns, in.rows);
    for (int r = 0; r < in.rows; ++r)
        for (int c = 0; c < in.columns; ++c) out.row(c)[r] = in.row(r)[c];
    return out;
}

Plane without_lone_pixels(const Plane& in) {
    Plane out = in;
    if (in.rows < 3 || in.columns < 3) return out;
    const int last = in.columns - 1;
    for (int r = 0; r < in.rows; ++r) {
        const std::uint8_t* at = in.row(r);
        const std::uint8_t* up = in.row(r > 0 ? r - 1 : r + 1);
        const std::uint8_t* down = in.row(r + 1 < in.rows ? r + 1 : r - 1);
        const auto bounded = [&](int c, int left, int right) {
            const auto high_beside = std::max(std::max(std::max(up[left], up[right]), at[left]),
                                              std::max(std::max(down[left], down[right]), at[right]));
            const auto low_beside = std::min(std::min(std::min(up[left], up[right]), at[left]),
                                             std::min(std::min(down[left], down[right]), at[right]));
            const auto high = std::max(high_beside, std::max(up[c], down[c]));
            const auto low = std::min(low_beside, std::min(up[c], down[c]));
            return std::max(low, std::min(at[c], high));
        };
        std::uint8_t* o = out.row(r);
        for (int c = 1; c < last; ++c) o[c] = bounded(c, c - 1, c + 1);
        o[0] = bounded(0, 1, 1);
        o[last] = bounded(last, last - 1, last - 1);
    }
    return out;
}

Plane blurred(const Plane& in) {
    Plane out(in.rows, in.columns);
    std::vector<int> sums(in.columns);
    for (int r = 0; r < in.rows; ++r) {
        const std::uint8_t* at = in.row(r);
        const std::uint8_t* up = in.row(std::max(r - 1, 0));
        const std::uint8_t* down = in.row(std::min(r + 1, in.rows - 1));
        for (int c = 0; c < in.columns; ++c) sums[c] = up[c] + at[c] + down[c];
        std::uint8_t* o = out.row(r);
        for (int c = 0; c < in.columns; ++c) {
            const int left = std::max(c - 1, 0), right = std::min(c + 1, in.columns - 1);
            o[c] = static_cast<std::uint8_t>((sums[left] + sums[c] + sums[right] + 4) / 9);
        }
    }
    return out;
}

Plane resized(const Plane& in, int rows, int columns) {
    Plane wide(in.rows, columns);
    if (columns == in.columns)
        wide = in;
    else {
        const Weights& w = kept_weights_for(in.columns, columns);
        for (int r = 0; r < in.rows; ++r)
            for (int c = 0; c < columns; ++c) {
                const int* k = w.weight.data() + c * w.most;
                const std::uint8_t* at = in.row(r) + w.first[c];
                int sum = 1 << 21;
                for (int x = 0; x < w.count[c]; ++x) sum += at[x] * k[x];
                wide.row(r)[c] = clipped(sum);
            }
    }
    if (rows == in.rows) return wide;
    Plane out(rows, columns);
    const Weights& w = kept_weights_for(in.rows, rows);
    std::vector<int> sums(columns);
    for (int r = 0; r < rows; ++r) {
        std::fill(sums.begin(), sums.end(), 1 << 21);
        for (int y = 0; y < w.count[r]; ++y) {
            const int k = w.weight[r * w.most + y];
            const std::uint8_t* at = wide.row(w.first[r] + y);
            for (int c = 0; c < columns; ++c) sums[c] += at[c] * k;
        }
        for (int c = 0; c < columns; ++c) out.row(r)[c] = clipped(sums[c]);
    }
    return out;
}

Levels levels_of(const Plane& plane) {
    // Four counts in turn: neighbours are often alike, and one count would wait for itself.
    std::array<Levels, 4> parts{};
    for (std::size_t i = 0; i < plane.size(); ++i) ++parts[i % 4][plane.values[i]];
    for (std::size_t level = 0; level < 256; ++level)
        parts[0][level] += parts[1][level] + parts[2][level] + parts[3][level];
    return parts[0];
}

int quantile(const Levels& counts, std::int64_t total, int part) {
    const std::int64_t wanted = total * part / 1000;
    std::int64_t seen = 0;
    for (int level = 0; level < 256; ++level) {
        seen += counts[std::size_t(level)];
        if (seen > wanted) return level;
    }
    return 255;
}

int roughness(const Plane& in) {
    std::array<int, 256> counts{};
    size_t total = 0;
    for (int r = 1; r + 1 < in.rows; ++r) {
        const std::uint8_t *up = in.row(r - 1), *at = in.row(r), *down = in.row(r + 1);
        for (int c = 1; c + 1 < in.columns; ++c) {
            ++counts[(std::abs(4 * at[c] - up[c] - down[c] - at[c - 1] - at[c + 1]) / 4)];
            ++total;
        }
    }
    return total ? quantile(counts, total, 500) : 0;
}

} // namespace lenet
