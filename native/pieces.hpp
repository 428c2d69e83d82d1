// Pieces of ink: pixels that hang together, and what can be told of them.
#pragma once

#include "plane.hpp"

#include <algorithm>

namespace lenet {

struct Piece {
    Box box{1 << 30, 1 << 30, 0, 0};
    std::int64_t area = 0;             // pixels
    std::int64_t sum = 0, squares = 0; // of the ink
    std::int64_t edge = 0;             // pixels beside one that is not of it
    std::int64_t steps = 0, real = 0;  // across its edge; those at which the picture changes too

    // Of its strokes, in hundredths of a pixel: the area over half the edge.
    int width() const { return int(200 * area / std::max<std::int64_t>(edge, 1)); }
    // How strong the ink is: its mean, weighted by itself.
    int level() const { return sum ? int(squares / sum) : 0; }
    int real_share() const { return int(100 * real / std::max<std::int64_t>(steps, 1)); }
};

struct Pieces {
    std::vector<int> label;   // of each pixel, from 1; 0 for none
    std::vector<Piece> piece; // by label, so that the first is none
    int columns = 0;

    int at(int r, int c) const { return label[std::size_t(r) * std::size_t(columns) + std::size_t(c)]; }
    const Piece& operator[](int l) const { return piece[std::size_t(l)]; }
};

// The pieces of what is not 0 in `mask`; pixels that touch, at a corner too, are of one.  They are numbered
// in the order of their first pixels.
Pieces find_pieces(const Plane& mask, const Plane& ink);

// Erases `ink` between what is strong in a piece and what is fainter and begins there with a step: a pen's
// pressure changes little by little, a shadow, a stain or a fold under the stroke does not.  Whether any was.
bool part_fainter(const Pieces& rough, Plane& ink);

// Of each piece what is sure, and what is fainter and hangs together with it.
Pieces refined(Pieces rough, const Plane& ink, int faint);

// Without what is much thinner than the rest of its piece: a hair, a fold, a line of a hand.
Pieces trimmed(Pieces pieces, const Plane& ink);

// Counts `steps` and `real`: where a window of `closed` ended, the ink ends, and the picture does not
// change.
void count_real_edges(Pieces& pieces, const Plane& ground, const Plane& smooth);

} // namespace lenet
