// Ink on its ground, and the rules on the paper taken away.
#pragma once

#include "plane.hpp"

namespace lenet {

struct Ground {
    Plane ground; // the picture with everything narrow and dark filled up
    Plane ink;    // 0 to 255 parts of the ground's own light, the noise of the ground taken off
    int faint;    // what stands out less than this is noise
};

// The ground of dark ink, and the ink on it.  Ink is narrower than `window`; if that is 0, the ground is
// one level.
Ground lift(const Plane& dark, int window);

// Straight thin lines along the rows, erased from `ink`; 1 in `gone` where they were.  How many there were.
int erase_rules(Plane& ink, int faint, Plane& gone);

} // namespace lenet
