// A picture made into what a network was trained on: characters found on their ground, fitted and centred.
//
// Whole numbers alone, so that every machine gives the same bytes; but for the weights of the filter in
// `resized`.  src/lenet/data/pictures/reference.py says the same in NumPy, and is equal byte for byte.
//
//   ground    what the ink lies on, at each pixel: the picture with everything narrow filled up
//   ink       how far a pixel stands out from its ground, in parts of the ground's own light
//   rule      a straight thin line that goes on and on: of ruled paper, of a box, of a form
//   piece     pixels of ink that hang together
//   group     pieces that belong together: one character
#pragma once

#include "plane.hpp"

namespace lenet {

// What the network was trained on.
struct Wish {
    int rows, columns; // of the image
    int ink_side;      // the longer way of the ink in it
    bool by_mass;      // the ink's centre of mass is in the middle, or that of its box
};

struct Character {
    Box box;                      // in the picture
    int level;                    // of the ink, to 255
    Plane cropped, fitted, image; // cut out; in `ink_side`; in its place
};

struct Reading {
    bool dark = false; // the ink is darker than its ground
    int rules = 0;     // lines that were taken away
    Plane ground, ink;
    Plane kept; // 255 where ink was taken for a character, 128 where a rule was, 64 where other ink was
    std::vector<Character> characters; // the most prominent first; none if nothing stands out
};

constexpr int most_characters = 64;

// `grey` has at least one pixel, and each number of `wish` is at least 1.
Reading read_characters(const Plane& grey, const Wish& wish);

} // namespace lenet
