// Implements pieces.hpp: pieces labelled, refined, trimmed, and their edges.

#include "pieces.hpp"

#include <algorithm>

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

} // namespace

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
        for (int c = 0; c < columns; ++c) {
            if (!is_ink[c]) continue;
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
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < columns; ++c) {
            int& l = found.label[std::size_t(r) * std::size_t(columns) + std::size_t(c)];
            if (!l) continue;
            l = number[std::size_t(l)];
            const bool inside = r && c && r + 1 < rows && c + 1 < columns && mask.at(r - 1, c) &&
                                mask.at(r + 1, c) && mask.at(r, c - 1) && mask.at(r, c + 1);
            add_pixel(found.piece[std::size_t(l)], r, c, ink.at(r, c), !inside);
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
    // A stroke's edge is that wide where a small picture was made large.
    const int far = std::max({1, side / 50, std::min(side / 16, 9)});
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
