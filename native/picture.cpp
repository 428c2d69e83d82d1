// Implements picture.hpp: dark or light, what is taken, and the image of it.

#include "picture.hpp"

#include <algorithm>
#include <utility>

#include "groups.hpp"
#include "ink.hpp"
#include "pieces.hpp"

namespace lenet {
namespace {

constexpr int least_side_ruled = 64;   // pixels: on less paper no rule is told from a stroke
constexpr int least_side_blurred = 96; // pixels: in less a blur takes strokes away
constexpr int most_blurs = 3;
constexpr int least_dotted = 32; // how rough a picture is at least that is made of black and white dots
constexpr std::size_t most_groups = 40;
constexpr int least_side_evened = 64;
constexpr int faintest = 4;    // a stroke is made as strong as the rest where it has a fourth of its strength
constexpr int least_real = 40; // per cent: of less of its edge a piece is where a window ended

// A picture seen as dark ink on a light ground.
struct Side {
    Plane ground, ink, gone; // gone: 1 where a rule was
    Pieces pieces;
    std::vector<Group> groups;
    int rules = 0;
};

// Rules along the rows and along the columns, both looked for before either is gone.
int take_rules(Plane& ink, int faint, Plane& gone) {
    Plane along = ink, across = flipped(ink), gone_across(ink.columns, ink.rows);
    const int rules = erase_rules(along, faint, gone) + erase_rules(across, faint, gone_across);
    gone_across = flipped(gone_across);
    for (std::size_t i = 0; i < ink.size(); ++i) {
        gone.values[i] |= gone_across.values[i];
        if (gone.values[i]) ink.values[i] = 0;
    }
    return rules;
}

Side look(const Plane& smooth, int window) {
    Side side;
    Ground found = lift(smooth, window);
    side.gone = Plane(smooth.rows, smooth.columns);
    if (std::min(smooth.rows, smooth.columns) >= least_side_ruled)
        side.rules = take_rules(found.ink, found.faint, side.gone);
    Plane mask(smooth.rows, smooth.columns);
    const auto find = [&] {
        for (std::size_t i = 0; i < mask.size(); ++i) mask.values[i] = found.ink.values[i] > found.faint;
        return find_pieces(mask, found.ink);
    };
    Pieces rough = find();
    if (std::min(smooth.rows, smooth.columns) >= least_side_ruled && part_fainter(rough, found.ink))
        rough = find();
    side.pieces = trimmed(refined(std::move(rough), found.ink, found.faint), found.ink);
    count_real_edges(side.pieces, found.ground, smooth);
    side.groups = find_groups(side.pieces, smooth.rows, smooth.columns, window ? least_real : 0);
    if (side.groups.size() > most_groups) side.groups.resize(most_groups);
    const Levels levels = levels_of(smooth);
    for (Group& group : side.groups) weigh(group, side.pieces, found.ground, smooth, levels);
    std::stable_sort(side.groups.begin(), side.groups.end(),
                     [](const Group& a, const Group& b) { return a.score > b.score; });
    side.ink = std::move(found.ink);
    side.ground = std::move(found.ground);
    return side;
}

bool covers(const Box& large, const Box& small) {
    return large.top <= small.top && large.left <= small.left && large.bottom >= small.bottom &&
           large.right >= small.right;
}

bool overlap(const Box& a, const Box& b) {
    return a.top < b.bottom && b.top < a.bottom && a.left < b.right && b.left < a.right;
}

// How a group stands out, in grey levels: parts of the ground's light are more on a dark ground.
std::int64_t weight(const Group& group) { return group.score / std::max(1, group.level) * group.contrast; }

// Whether b is what strokes of a leave free: the inside of a loop, a bay.
bool is_between_strokes(const Group& a, const Group& b, int rows, int columns) {
    const bool is_paper =
        edges_touched(a.box, rows, columns) > 2 && b.box.side() * 10 >= a.box.side() * 7 && b.solid;
    return covers(a.box, b.box) && !is_paper && a.contrast * 10 >= b.contrast * 6 && a.real >= 85 &&
           a.like < 40 && a.score * 3 >= b.score && a.area * 100 < 80LL * a.box.height() * a.box.width();
}

// Whether b may be a stroke that is as strong as a.
bool is_stroke_beside(const Group& b, const Group& a) {
    return b.contrast * 10 >= a.contrast * 6 && b.real >= 85 && b.like < 40 && b.width < 30 * b.box.side();
}

// Whether b is a stroke with room for it on a, and as strong.
bool stands_on(const Group& b, const Group& a) { return covers(a.box, b.box) && is_stroke_beside(b, a); }

// Whether b is a stroke around which the ground goes on, so that a is part of that ground.
bool has_room(const Group& b, const Group& a, int rows, int columns) {
    return is_stroke_beside(b, a) && overlap(a.box, b.box) && !b.like && b.far_like < 10 &&
           !edges_touched(b.box, rows, columns) && weight(b) * 2 >= weight(a);
}

// Whether the best of `other` is a page on a table, and what is best of `side` is written on it: one
// character, or with others a line of them; a character has fewer holes.
bool is_written_on(const Side& side, const Side& other) {
    constexpr int least_line = 3;
    const Group &a = other.groups[0], &b = side.groups[0];
    if (has_room(b, a, side.ink.rows, side.ink.columns)) return true;
    if (a.area * 100 <= 30LL * a.box.height() * a.box.width()) return false;
    if (a.solid && b.box.side() * 10 >= a.box.side() && stands_on(b, a)) return true;
    const auto in_line = std::count_if(side.groups.begin(), side.groups.end(), [&](const Group& group) {
        return group.box.side() * 2 >= b.box.height() && stands_on(group, a);
    });
    return b.box.side() * 25 >= a.box.side() && in_line >= least_line;
}

bool dark_wins(const Side& dark, const Side& light) {
    if (light.groups.empty()) return true;
    if (dark.groups.empty()) return false;
    const Group &d = dark.groups[0], &l = light.groups[0];
    const int rows = dark.ink.rows, columns = dark.ink.columns;
    if (is_written_on(dark, light)) return true;
    if (is_written_on(light, dark)) return false;
    if (is_between_strokes(d, l, rows, columns)) return true;
    if (is_between_strokes(l, d, rows, columns)) return false;
    return weight(d) >= weight(l);
}

// How strong the ink of a pen that is pressed now more, now less is `by` pixels around each: to `full`.  In a
// small image an edge is as wide as a stroke, and all of it counts as full.
Plane strength_around(const Plane& values, const Plane& mask, int full, int by) {
    Plane strength(values.rows, values.columns, std::uint8_t(full));
    if (std::max(values.rows, values.columns) < least_side_evened) return strength;
    for (std::size_t i = 0; i < mask.size(); ++i)
        strength.values[i] = mask.values[i] ? values.values[i] : std::uint8_t(0);
    strength = maximum(strength, 2 * by + 1);
    for (auto& value : strength.values)
        value = std::uint8_t(std::clamp<int>(value, std::max(1, full / faintest), full));
    return strength;
}

// The ink of a group alone, as light as the training images', in its box and a rim.
Plane cut_out(const Side& side, const Group& group) {
    const int rim = 1 + group.box.side() / 40;
    const int top = std::max(0, group.box.top - rim), left = std::max(0, group.box.left - rim);
    const int bottom = std::min(side.ink.rows, group.box.bottom + rim),
              right = std::min(side.ink.columns, group.box.right + rim);
    std::vector<std::uint8_t> is_in(side.pieces.piece.size(), 0);
    std::int64_t area = 0, edge = 0;
    for (const int l : group.pieces) {
        is_in[std::size_t(l)] = 1;
        area += side.pieces[l].area;
        edge += side.pieces[l].edge;
    }
    Plane mask(bottom - top, right - left), values(bottom - top, right - left);
    Levels counts{};
    for (int r = top; r < bottom; ++r)
        for (int c = left; c < right; ++c) {
            const int l = side.pieces.at(r, c);
            if (!l || is_in[std::size_t(l)]) values.at(r - top, c - left) = side.ink.at(r, c);
            if (!is_in[std::size_t(l)]) continue;
            mask.at(r - top, c - left) = 255;
            ++counts[side.ink.at(r, c)];
        }
    const int full = std::max(1, quantile(counts, area, 850));
    const auto reach = int(3 * area / (2 * std::max<std::int64_t>(edge, 1)));
    const Plane strength = strength_around(values, mask, full, reach);
    mask = maximum(mask, 2 * rim + 1);
    for (std::size_t i = 0; i < mask.size(); ++i)
        values.values[i] =
            std::uint8_t(mask.values[i] ? std::min(255, values.values[i] * 255 / strength.values[i]) : 0);
    // A stroke much thinner than those that the network knows would fade away when it is fitted.
    const int length = group.box.side(), width = int(200 * area / std::max<std::int64_t>(edge, 1));
    if (width * 10 >= length * 75) return values;
    const int window = (length * 105 / 10 - width) / 100 + 1, by = window / 2 + 1;
    Plane wide(values.rows + 2 * by, values.columns + 2 * by);
    for (int r = 0; r < values.rows; ++r)
        std::copy(values.row(r), values.row(r) + values.columns, wide.row(r + by) + by);
    return maximum(wide, window);
}

// Without what is empty around it.
Plane cropped(const Plane& in) {
    int top = in.rows, left = in.columns, bottom = 0, right = 0;
    for (int r = 0; r < in.rows; ++r)
        for (int c = 0; c < in.columns; ++c)
            if (in.at(r, c) > 2) {
                top = std::min(top, r);
                bottom = std::max(bottom, r + 1);
                left = std::min(left, c);
                right = std::max(right, c + 1);
            }
    Plane out(bottom - top, right - left);
    for (int r = top; r < bottom; ++r) std::copy(in.row(r) + left, in.row(r) + right, out.row(r - top));
    return out;
}

// With its proportions in `side` x `side`, and not fainter than the training images.
Plane fitted(const Plane& in, int side) {
    const int longer = std::max(in.rows, in.columns);
    const auto scaled = [&](int n) { return std::max(1, (2 * n * side + longer) / (2 * longer)); };
    Plane out = resized(in, scaled(in.rows), scaled(in.columns));
    const int top = *std::max_element(out.values.begin(), out.values.end());
    if (top && top < 230)
        for (auto& value : out.values) value = std::uint8_t(value * 255 / top);
    return out;
}

// In the middle of the image, by its centre of mass or by its box.
Plane placed(const Plane& in, const Wish& wish) {
    std::int64_t total = 0, down = 0, across = 0;
    for (int r = 0; r < in.rows; ++r)
        for (int c = 0; c < in.columns; ++c) {
            const std::int64_t value = in.at(r, c);
            total += value;
            down += value * r;
            across += value * c;
        }
    const auto floor = [](std::int64_t a, std::int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); };
    std::int64_t top = floor(wish.rows - in.rows + 1, 2), left = floor(wish.columns - in.columns + 1, 2);
    if (wish.by_mass && total) {
        top = floor(total * (wish.rows + 1) - 2 * down, 2 * total);
        left = floor(total * (wish.columns + 1) - 2 * across, 2 * total);
    }
    top = std::clamp<std::int64_t>(top, 0, wish.rows - in.rows);
    left = std::clamp<std::int64_t>(left, 0, wish.columns - in.columns);
    Plane out(wish.rows, wish.columns);
    for (int r = 0; r < in.rows; ++r)
        std::copy(in.row(r), in.row(r) + in.columns, out.row(int(top) + r) + left);
    return out;
}

Character make(const Side& side, const Group& group, const Wish& wish) {
    Character made{group.box, group.level, cropped(cut_out(side, group)), {}, {}};
    made.fitted = fitted(made.cropped, std::min({wish.ink_side, wish.rows, wish.columns}));
    made.image = placed(made.fitted, wish);
    return made;
}

// Whether a group is a character too, beside the most prominent.
bool is_another(const Group& group, const Group& main, int rows, int columns) {
    return group.box.side() * 2 >= main.box.height() && group.level * 2 >= main.level &&
           !edges_touched(group.box, rows, columns) && group.box.width() <= 2 * group.box.height() &&
           group.score * 20 > main.score;
}

// Whether all of the edge and most of the rest is as light as the lightest pixel.
bool is_on_level_ground(const Plane& plane) {
    const auto lightest = *std::max_element(plane.values.begin(), plane.values.end());
    const auto count = std::count(plane.values.begin(), plane.values.end(), lightest);
    if (2 * std::size_t(count) < plane.size()) return false;
    const auto is_lightest = [&](int r, int c) { return plane.at(r, c) == lightest; };
    for (int r = 0; r < plane.rows; ++r)
        if (!is_lightest(r, 0) || !is_lightest(r, plane.columns - 1)) return false;
    for (int c = 0; c < plane.columns; ++c)
        if (!is_lightest(0, c) || !is_lightest(plane.rows - 1, c)) return false;
    return true;
}

// Whether the best of a side is strokes away from the edge, and no page.
bool is_written(const Side& side) {
    return !side.groups.empty() && !side.groups[0].solid &&
           !edges_touched(side.groups[0].box, side.ink.rows, side.ink.columns);
}

// Dark and light ink; `window` as in `lift`.  Strokes on a ground that is one level are what was
// written: no other ink is then looked for.
std::pair<Side, Side> look_both_ways(const Plane& smooth, int window) {
    const Plane other = turned(smooth);
    const bool on_dark = is_on_level_ground(other), is_level = on_dark || is_on_level_ground(smooth);
    Side first = look(on_dark ? other : smooth, window), second;
    if (!is_level || !is_written(first)) second = look(on_dark ? smooth : other, window);
    if (on_dark) std::swap(first, second);
    return {std::move(first), std::move(second)};
}

// Without noise; what is made of dots loses them.
Plane smoothed(const Plane& grey) {
    Plane smooth = without_lone_pixels(grey);
    if (std::min(grey.rows, grey.columns) < least_side_blurred) return smooth;
    const bool is_dotted = roughness(smooth) >= least_dotted;
    for (int i = 0; i < most_blurs && (is_dotted || roughness(smooth) >= 2); ++i) smooth = blurred(smooth);
    return smooth;
}

// Whether there is dark and light at each edge of a picture, as where it was cut close to its ink.
bool is_cut_close(const Plane& plane) {
    const auto [dark, light] = std::minmax_element(plane.values.begin(), plane.values.end());
    const int middle = (*dark + *light) / 2;
    const auto has_both = [&](int r, int c, int down, int across) {
        bool has_dark = false, has_light = false;
        for (; r < plane.rows && c < plane.columns; r += down, c += across)
            (plane.at(r, c) <= middle ? has_dark : has_light) = true;
        return has_dark && has_light;
    };
    return has_both(0, 0, 0, 1) && has_both(plane.rows - 1, 0, 0, 1) && has_both(0, 0, 1, 0) &&
           has_both(0, plane.columns - 1, 1, 0);
}

std::int64_t best_score(const Side& side) { return side.groups.empty() ? 0 : side.groups[0].score; }

} // namespace

Reading read_characters(const Plane& grey, const Wish& wish) {
    const int rows = grey.rows, columns = grey.columns, shorter = std::min(rows, columns);
    const Plane smooth = smoothed(grey);
    auto [dark, light] =
        look_both_ways(smooth, std::max(3, shorter / (shorter < least_side_ruled ? 3 : 4) | 1));
    const Side& first = dark_wins(dark, light) ? dark : light;
    if (first.groups.empty() || edges_touched(first.groups[0].box, rows, columns) > 1 ||
        is_cut_close(smooth)) {
        // Ink wider than the window, as in a picture that is cut close to it.
        auto [dark_on_level, light_on_level] = look_both_ways(smooth, 0);
        if (first.groups.empty() || std::max(best_score(dark_on_level), best_score(light_on_level)) >
                                        std::max(best_score(dark), best_score(light))) {
            dark = std::move(dark_on_level);
            light = std::move(light_on_level);
        }
    }
    Reading reading;
    reading.dark = dark_wins(dark, light);
    Side& side = reading.dark ? dark : light;
    reading.rules = side.rules;
    if (side.groups.empty()) return reading;
    std::vector<std::uint8_t> is_in(side.pieces.piece.size(), 0);
    for (std::size_t g = 0; g < side.groups.size() && reading.characters.size() < most_characters; ++g) {
        const Group& group = side.groups[g];
        if (g && !is_another(group, side.groups[0], rows, columns)) continue;
        reading.characters.push_back(make(side, group, wish));
        for (const int l : group.pieces) is_in[std::size_t(l)] = 1;
    }
    reading.kept = Plane(rows, columns);
    for (std::size_t i = 0; i < grey.size(); ++i) {
        const int l = side.pieces.label[i];
        reading.kept.values[i] = is_in[std::size_t(l)] ? 255 : side.gone.values[i] ? 128 : l ? 64 : 0;
    }
    reading.ground = reading.dark ? std::move(side.ground) : turned(std::move(side.ground));
    reading.ink = std::move(side.ink);
    return reading;
}

} // namespace lenet
