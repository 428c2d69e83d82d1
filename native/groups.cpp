// Implements groups.hpp: which pieces belong together, and which character stands out.

#include "groups.hpp"

#include <algorithm>
#include <cstdlib>

namespace lenet {
namespace {

constexpr int least_side = 4;    // pixels, the longer way
constexpr int most_pieces = 200; // that are looked at
constexpr int width_told = 600;  // hundredths of a pixel: strokes so wide are told from a hair

int gap(const Box& a, const Box& b) {
    const int across = std::max({0, a.left - b.right, b.left - a.right});
    const int along = std::max({0, a.top - b.bottom, b.top - a.bottom});
    return std::max(across, along);
}

Box joined(const Box& a, const Box& b) {
    return {std::min(a.top, b.top), std::min(a.left, b.left), std::max(a.bottom, b.bottom),
            std::max(a.right, b.right)};
}

bool within(const Box& small, const Box& large) {
    return small.top > large.top && small.left > large.left && small.bottom < large.bottom &&
           small.right < large.right;
}

bool may_be_character(const Piece& piece, int least_real) {
    return piece.box.side() >= least_side && piece.area >= std::max(6, piece.box.side()) &&
           piece.real * 100 >= least_real * piece.steps;
}

// Whether piece a goes around b: it is met on all four sides of b's middle.
bool goes_around(const Pieces& pieces, int a, int b) {
    const Box& large = pieces[a].box;
    const Box& small = pieces[b].box;
    if (!within(small, large) || small.side() * 10 < large.side() * 3) return false;
    const int row = (small.top + small.bottom) / 2, column = (small.left + small.right) / 2;
    bool left = false, right = false, up = false, down = false;
    for (int c = large.left; c < small.left; ++c) left |= pieces.at(row, c) == a;
    for (int c = small.right; c < large.right; ++c) right |= pieces.at(row, c) == a;
    for (int r = large.top; r < small.top; ++r) up |= pieces.at(r, column) == a;
    for (int r = small.bottom; r < large.bottom; ++r) down |= pieces.at(r, column) == a;
    return left && right && up && down;
}

// Large, strong, in the middle, of strokes, and with an edge that the picture has too.
std::int64_t prominence(const Piece& piece, int rows, int columns) {
    const Box& box = piece.box;
    const int touched = edges_touched(box, rows, columns);
    const bool across = (box.left == 0 && box.right == columns) || (box.top == 0 && box.bottom == rows);
    int place = across || touched > 2 ? 10 : touched ? 35 : 100;
    if (box.width() > 3 * box.height()) place /= 4;
    const int y = std::abs(box.top + box.bottom - rows), x = std::abs(box.left + box.right - columns);
    const int away = std::max(1000 * y / rows, 1000 * x / columns); // 0 in the middle, 1000 at an edge
    // Tenths of what the widest pen draws: a quarter of the whole.
    const std::int64_t wide = std::max<std::int64_t>(
        10, 40 * 2 * piece.area / std::max<std::int64_t>(piece.edge, 1) / box.side());
    std::int64_t score = std::int64_t(box.side()) * piece.level() * place * (4000 - away);
    for (int i = 0; i < 3; ++i) score = score / 100 * piece.real_share();
    return score / (wide * wide);
}

bool belongs(const Piece& piece, const Group& group, int rows, int columns) {
    const int side = group.box.side(), apart = gap(piece.box, group.box);
    const bool is_cut = edges_touched(piece.box, rows, columns) && !edges_touched(group.box, rows, columns);
    const bool is_faint = piece.level() * 10 < group.level * 4, is_speck = piece.area * 150 < group.area;
    const bool is_hair = group.width >= width_told && piece.width() * 100 < 35 * group.width;
    if (is_faint || is_speck || is_hair || is_cut || apart * 100 > side * 25) return false;
    if (apart * 100 <= side * 8) return true;
    const int shared =
        std::max(0, std::min(piece.box.right, group.box.right) - std::max(piece.box.left, group.box.left));
    const bool is_beside = shared * 10 < 3 * std::min(piece.box.width(), group.box.width());
    const bool is_tall = piece.box.height() * 10 >= group.box.height() * 6;
    return !(is_beside && is_tall) && piece.area * 40 >= group.area;
}

std::int64_t darker_in(const Box& box, const Plane& smooth, int middle) {
    std::int64_t darker = 0;
    for (int r = box.top; r < box.bottom; ++r)
        darker += std::count_if(smooth.row(r) + box.left, smooth.row(r) + box.right,
                                [&](std::uint8_t level) { return level < middle; });
    return darker;
}

// How much within `margin` around the box is darker than `middle`, in per cent; `inner` are so in the box.
int darker_around(const Box& box, int margin, const Plane& smooth, int middle, std::int64_t inner) {
    const Box wide{std::max(0, box.top - margin), std::max(0, box.left - margin),
                   std::min(smooth.rows, box.bottom + margin), std::min(smooth.columns, box.right + margin)};
    const auto area = [](const Box& of) { return std::int64_t(of.height()) * of.width(); };
    const std::int64_t around = area(wide) - area(box);
    return around ? int(100 * (darker_in(wide, smooth, middle) - inner) / around) : 0;
}

} // namespace

int edges_touched(const Box& box, int rows, int columns) {
    return (box.top == 0) + (box.left == 0) + (box.bottom == rows) + (box.right == columns);
}

std::vector<Group> find_groups(const Pieces& pieces, int rows, int columns, int least_real) {
    const std::size_t count = pieces.piece.size();
    std::vector<std::int64_t> score(count, 0);
    std::vector<int> order;
    for (int l = 1; l < int(count); ++l)
        if (may_be_character(pieces[l], least_real)) {
            score[std::size_t(l)] = prominence(pieces[l], rows, columns);
            order.push_back(l);
        }
    const auto by_score = [&](int a, int b) { return score[std::size_t(a)] > score[std::size_t(b)]; };
    std::stable_sort(order.begin(), order.end(), by_score);
    if (order.size() > most_pieces) order.resize(most_pieces);
    // A box or a circle around a character is none.
    std::vector<std::uint8_t> is_frame(count, 0), is_taken(count, 0);
    for (const int a : order)
        for (const int b : order)
            if (a != b && !is_frame[std::size_t(a)] && pieces[b].level() * 2 > pieces[a].level() &&
                goes_around(pieces, a, b)) {
                is_frame[std::size_t(a)] = 1;
                score[std::size_t(a)] /= 10;
            }
    std::stable_sort(order.begin(), order.end(), by_score);
    std::vector<Group> groups;
    for (const int first : order) {
        if (is_taken[std::size_t(first)]) continue;
        is_taken[std::size_t(first)] = 1;
        const Piece& main = pieces[first];
        Group group;
        group.pieces = {first};
        group.box = main.box;
        group.level = main.level();
        group.width = main.width();
        group.real = main.real_share();
        group.area = main.area;
        group.score = score[std::size_t(first)];
        for (bool more = true; more;) {
            more = false;
            for (const int l : order) {
                if (is_taken[std::size_t(l)] || is_frame[std::size_t(l)] ||
                    !belongs(pieces[l], group, rows, columns))
                    continue;
                is_taken[std::size_t(l)] = 1;
                group.pieces.push_back(l);
                group.box = joined(group.box, pieces[l].box);
                group.area += pieces[l].area;
                more = true;
            }
        }
        group.solid = 2 * main.area * 100 > 34 * main.edge * group.box.side();
        groups.push_back(std::move(group));
    }
    return groups;
}

void weigh(Group& group, const Pieces& pieces, const Plane& ground, const Plane& smooth,
           const Levels& levels) {
    std::vector<std::uint8_t> is_in(pieces.piece.size(), 0);
    for (const int l : group.pieces) is_in[std::size_t(l)] = 1;
    const Box& box = group.box;
    std::int64_t squares = 0, sum = 0, level_sum = 0;
    for (int r = box.top; r < box.bottom; ++r)
        for (int c = box.left; c < box.right; ++c)
            if (is_in[std::size_t(pieces.at(r, c))]) {
                const int height = ground.at(r, c) - smooth.at(r, c);
                squares += height * height;
                sum += height;
                level_sum += height * (smooth.at(r, c) + ground.at(r, c));
            }
    sum = std::max<std::int64_t>(sum, 1);
    group.contrast = int(squares / sum);
    const int middle = int(level_sum / (2 * sum)), margin = std::max(2, box.side() / 4);
    const std::int64_t inner = darker_in(box, smooth, middle);
    group.like = darker_around(box, margin, smooth, middle, inner);
    group.far_like = darker_around(box, 2 * margin, smooth, middle, inner);
    std::int64_t alike = 0;
    for (int level = 0; level < middle; ++level) alike += levels[std::size_t(level)];
    const auto all = std::int64_t(smooth.size());
    for (int i = 0; i < 3; ++i) group.score = group.score * (100 - group.like) / 100;
    group.score = group.score * (all - alike) / all;
}

} // namespace lenet
