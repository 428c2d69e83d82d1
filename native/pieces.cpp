// Implements pieces.hpp: pieces labelled, refined, trimmed, and their edges.

#include "pieces.hpp"

#include <algorithm>
#include <cstring>

namespace lenet {
namespace {

// Sets that are joined, each known by its smallest number (Tarjan 1975, with halved paths).
class Sets {
public:
    int add() {
        parent_.push_back(int(parent_.size()));
        return parent_.back();
    }
    int root(int a) {
        while (parent_[std::size_t(a)] != a) {
            int& above = parent_[std::size_t(a)];
            above = parent_[std::size_t(above)];
            a = above;
        }
        return a;
    }
    int join(int a, int b) {
        a = root(a);
        b = root(b);
        const int low = std::min(a, b);
        parent_[std::size_t(std::max(a, b))] = low;
        return low;
    }
    int size() const { return int(parent_.size()); }

private:
    std::vector<int> parent_{0}; // the first is no set
};

// The first column from `c` on that is not 0, or `columns`; most are, and eight are passed over at once.
int next_set(const std::uint8_t* row, int c, int columns) {
    for (std::uint64_t eight = 0; c + 8 <= columns; c += 8) {
        std::memcpy(&eight, row + c, 8);
        if (eight) break;
    }
    while (c < columns && !row[c]) ++c;
    return c;
}

void add_pixel(Piece& piece, int r, int c, int value, bool at_edge) {
    piece.box.top = std::min(piece.box.top, r);
    piece.box.bottom = std::max(piece.box.bottom, r + 1);
    piece.box.left = std::min(piece.box.left, c);
    piece.box.right = std::max(piece.box.right, c + 1);
    ++piece.area;
    piece.sum += value;
    piece.squares += value * value;
    piece.edge += at_edge;
}

// Of each piece half of how far its ink, weighted by itself, is from its ground.
std::vector<int> half_heights(const Pieces& pieces, const Plane& ground, const Plane& smooth) {
    std::vector<std::int64_t> sums(pieces.piece.size(), 0), squares(pieces.piece.size(), 0);
    for (std::size_t i = 0; i < smooth.size(); ++i) {
        const auto l = std::size_t(pieces.label[i]);
        if (!l) continue;
        const int height = ground.values[i] - smooth.values[i];
        sums[l] += height;
        squares[l] += height * height;
    }
    std::vector<int> halves(sums.size(), 0);
    for (std::size_t l = 1; l < sums.size(); ++l)
        if (sums[l] > 0) halves[l] = int(squares[l] / (2 * sums[l]));
    return halves;
}

// How many pixels an edge takes: it is that wide where a small picture was made large.
int reach(int side) { return std::max({1, side / 50, std::min(side / 16, 9)}); }

// Of each piece the strength of its strongest ink: the mean of what is at least as strong as its level.
std::vector<int> strengths(const Pieces& pieces, const Plane& ink) {
    std::vector<std::int64_t> sums(pieces.piece.size(), 0), counts(pieces.piece.size(), 0);
    for (std::size_t i = 0; i < ink.size(); ++i) {
        const auto l = std::size_t(pieces.label[i]);
        if (!l || ink.values[i] < pieces.piece[l].level()) continue;
        sums[l] += ink.values[i];
        ++counts[l];
    }
    std::vector<int> means(sums.size(), 0);
    for (std::size_t l = 1; l < sums.size(); ++l)
        means[l] = int(sums[l] / std::max<std::int64_t>(counts[l], 1));
    return means;
}

// What is strong in its piece.
Plane strong_in(const Pieces& pieces, const Plane& ink) {
    const std::vector<int> most = strengths(pieces, ink);
    Plane strong(ink.rows, ink.columns);
    for (std::size_t i = 0; i < ink.size(); ++i) {
        const auto l = std::size_t(pieces.label[i]);
        strong.values[i] = l && ink.values[i] * 100 >= 70 * most[l];
    }
    return strong;
}

bool is_step(int from, int to) { return to * 100 < 60 * from; }

// Of each part, which is away from what is strong, whether it begins there with steps and goes on from `far`.
std::vector<std::uint8_t> begin_with_steps(const Pieces& parts, const Pieces& rough, const Plane& near,
                                           const Plane& far, const Plane& ink, const Plane& peak) {
    std::vector<std::int64_t> contacts(parts.piece.size(), 0), steps(parts.piece.size(), 0);
    std::vector<std::uint8_t> found(parts.piece.size(), 0);
    const auto is_joined = [&](int r, int c) {
        return r >= 0 && c >= 0 && r < ink.rows && c < ink.columns && near.at(r, c) && rough.at(r, c);
    };
    for (int r = 0; r < ink.rows; ++r)
        for (int c = 0; c < ink.columns; ++c) {
            const auto part = std::size_t(parts.at(r, c));
            if (!part) continue;
            if (!far.at(r, c)) found[part] = 1;
            if (!is_joined(r - 1, c) && !is_joined(r + 1, c) && !is_joined(r, c - 1) && !is_joined(r, c + 1))
                continue;
            ++contacts[part];
            steps[part] += is_step(peak.at(r, c), ink.at(r, c));
        }
    for (std::size_t part = 1; part < found.size(); ++part) found[part] &= steps[part] * 2 > contacts[part];
    return found;
}

} // namespace

bool part_fainter(const Pieces& rough, Plane& ink) {
    // Pixels: an edge of ink in a sharp picture takes less.
    const int edge = std::max(2, std::min(ink.rows, ink.columns) / 160);
    const Plane strong = strong_in(rough, ink), near = maximum(strong, 2 * edge + 1);
    Plane mask(ink.rows, ink.columns);
    for (std::size_t i = 0; i < ink.size(); ++i) mask.values[i] = rough.label[i] && !near.values[i];
    const Pieces parts = find_pieces(mask, ink);
    if (parts.piece.size() == 1) return false;
    for (std::size_t i = 0; i < ink.size(); ++i) mask.values[i] = rough.label[i] ? ink.values[i] : 0;
    const Plane peak = maximum(mask, 4 * edge + 3), far = maximum(near, 4 * edge + 1);
    const auto apart = begin_with_steps(parts, rough, near, far, ink, peak);
    if (std::count(apart.begin(), apart.end(), 1) == 0) return false;
    for (std::size_t i = 0; i < ink.size(); ++i) mask.values[i] = apart[std::size_t(parts.label[i])];
    mask = maximum(mask, 2 * edge + 3);
    for (std::size_t i = 0; i < ink.size(); ++i)
        if (mask.values[i] && near.values[i] && !strong.values[i] && is_step(peak.values[i], ink.values[i]))
            ink.values[i] = 0;
    return true;
}

Pieces find_pieces(const Plane& mask, const Plane& ink) {
    const int rows = mask.rows, columns = mask.columns;
    Pieces found;
    found.columns = columns;
    found.label.assign(mask.size(), 0);
    Sets sets;
    for (int r = 0; r < rows; ++r) {
        int* at = found.label.data() + std::ptrdiff_t(r) * columns;
        const int* up = r ? at - columns : nullptr;
        const std::uint8_t* is_ink = mask.row(r);
        for (int c = next_set(is_ink, 0, columns); c < columns; c = next_set(is_ink, c + 1, columns)) {
            int mine = c ? at[c - 1] : 0;
            if (up)
                for (int n = std::max(c - 1, 0); n <= std::min(c + 1, columns - 1); ++n)
                    if (up[n] && up[n] != mine) mine = mine ? sets.join(mine, up[n]) : up[n];
            at[c] = mine ? mine : sets.add();
        }
    }
    std::vector<int> number(std::size_t(sets.size()), 0);
    int count = 0;
    for (int a = 1; a < sets.size(); ++a)
        number[std::size_t(a)] = sets.root(a) == a ? ++count : number[std::size_t(sets.root(a))];
    found.piece.resize(std::size_t(count) + 1);
    for (int r = 0; r < rows; ++r) {
        const std::uint8_t* is_ink = mask.row(r);
        for (int c = next_set(is_ink, 0, columns); c < columns; c = next_set(is_ink, c + 1, columns)) {
            int& l = found.label[std::size_t(r) * std::size_t(columns) + std::size_t(c)];
            l = number[std::size_t(l)];
            const bool inside = r && c && r + 1 < rows && c + 1 < columns && mask.at(r - 1, c) &&
                                mask.at(r + 1, c) && mask.at(r, c - 1) && mask.at(r, c + 1);
            add_pixel(found.piece[std::size_t(l)], r, c, ink.at(r, c), !inside);
        }
    }
    return found;
}

Pieces refined(Pieces rough, const Plane& ink, int faint) {
    const std::size_t count = rough.piece.size();
    std::vector<int> weak(count), sure(count);
    std::vector<std::int64_t> fainter(count, 0), darker(count, 0);
    for (std::size_t i = 0; i < ink.size(); ++i) {
        const auto l = std::size_t(rough.label[i]);
        if (!l) continue;
        const int part = ink.values[i] * 100, level = rough.piece[l].level();
        fainter[l] += part >= 20 * level && part < 60 * level;
        darker[l] += part >= 60 * level;
    }
    for (std::size_t l = 1; l < count; ++l) {
        // Where most of a piece is much fainter than the rest, that is a shadow or a stain, and no stroke.
        const bool stained = fainter[l] * 2 > darker[l] * 3;
        weak[l] = std::max(faint, rough.piece[l].level() * (stained ? 60 : 20) / 100);
        sure[l] = std::max(faint, rough.piece[l].level() * 45 / 100);
    }
    Plane mask(ink.rows, ink.columns);
    for (std::size_t i = 0; i < ink.size(); ++i) {
        const auto l = std::size_t(rough.label[i]);
        mask.values[i] = l && ink.values[i] >= weak[l];
    }
    Pieces finer = find_pieces(mask, ink);
    std::vector<std::uint8_t> has_sure(finer.piece.size(), 0);
    for (std::size_t i = 0; i < ink.size(); ++i)
        if (finer.label[i] && ink.values[i] >= sure[std::size_t(rough.label[i])])
            has_sure[std::size_t(finer.label[i])] = 1;
    if (std::count(has_sure.begin(), has_sure.end(), 0) == 1) return finer; // but for what is none
    for (std::size_t i = 0; i < ink.size(); ++i) mask.values[i] = has_sure[std::size_t(finer.label[i])];
    return find_pieces(mask, ink);
}

Pieces trimmed(Pieces pieces, const Plane& ink) {
    Plane mask;
    for (int l = 1; l < int(pieces.piece.size()); ++l) {
        const Piece& piece = pieces[l];
        const int window = int(2 * piece.area / std::max<std::int64_t>(piece.edge, 1)) / 3, by = window + 1;
        if (window < 2 || piece.box.side() < 16) continue;
        if (!mask.size()) {
            mask = Plane(ink.rows, ink.columns);
            for (std::size_t i = 0; i < mask.size(); ++i) mask.values[i] = pieces.label[i] != 0;
        }
        const Box& box = piece.box;
        Plane ground(box.height() + 2 * by, box.width() + 2 * by, 255);
        for (int r = box.top; r < box.bottom; ++r)
            for (int c = box.left; c < box.right; ++c)
                if (pieces.at(r, c) == l) ground.at(r - box.top + by, c - box.left + by) = 0;
        // The ground grows, so that what is thin is gone, and the rest grows by more, to come back whole.
        const Plane gone = turned(maximum(turned(maximum(ground, window)), 2 * window + 1));
        for (int r = box.top; r < box.bottom; ++r)
            for (int c = box.left; c < box.right; ++c)
                if (pieces.at(r, c) == l && gone.at(r - box.top + by, c - box.left + by)) mask.at(r, c) = 0;
    }
    return mask.size() ? find_pieces(mask, ink) : pieces;
}

void count_real_edges(Pieces& pieces, const Plane& ground, const Plane& smooth) {
    const int rows = smooth.rows, columns = smooth.columns, side = std::min(rows, columns);
    const int far = reach(side);
    const std::vector<int> halves = half_heights(pieces, ground, smooth);
    constexpr int ways[4][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c) {
            const int l = pieces.at(r, c);
            if (!l) continue;
            for (const auto& way : ways) {
                const auto inside = [&](int t) {
                    return r + t * way[0] >= 0 && r + t * way[0] < rows && c + t * way[1] >= 0 &&
                           c + t * way[1] < columns;
                };
                const auto level = [&](int t) -> int { return smooth.at(r + t * way[0], c + t * way[1]); };
                if (!inside(1) || pieces.at(r + way[0], c + way[1]) == l) continue;
                int lightest = 0, darkest = level(0);
                for (int t = 1; t <= far && inside(t); ++t) lightest = std::max(lightest, level(t));
                for (int t = 1; t <= far && inside(-t); ++t) darkest = std::min(darkest, level(-t));
                const int half = halves[std::size_t(l)];
                Piece& piece = pieces.piece[std::size_t(l)];
                ++piece.steps;
                piece.real += lightest + half >= ground.at(r, c) && 10 * (lightest - darkest) >= 8 * half;
            }
        }
}

} // namespace lenet
