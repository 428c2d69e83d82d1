// Pieces of ink that belong together: characters, the most prominent first.
#pragma once

#include "pieces.hpp"

namespace lenet {

struct Group {
    std::vector<int> pieces; // labels
    Box box;
    int level = 0;      // of its main piece, as are width, real and solid
    int width = 0;      // of its strokes, in hundredths of a pixel
    int real = 100;     // per cent of its edge at which the picture changes
    bool solid = false; // a block rather than strokes
    std::int64_t area = 0, score = 0;
    int contrast = 0; // grey levels between ink and ground
    int like = 0;     // per cent of what is around it that is rather like its ink than like its ground
    int far_like = 0; // the same of twice as much around it
};

// How many of the picture's four edges a box touches.
int edges_touched(const Box& box, int rows, int columns);

// The groups of pieces that may be characters, by their scores; the picture changes at `least_real` per
// cent of a piece's edge at least.
std::vector<Group> find_groups(const Pieces& pieces, int rows, int columns, int least_real);

// Sets contrast and like, and scores anew by them: what is around ink is ground, and most of a picture is.
void weigh(Group& group, const Pieces& pieces, const Plane& ground, const Plane& smooth,
           const Levels& levels);

} // namespace lenet
