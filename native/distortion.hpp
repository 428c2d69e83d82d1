// Images distorted as LeCun et al. 1998 distorted theirs; src/lenet/data/distortion.py is the reference.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lenet {

// `count` images (channels, rows, columns), each by five numbers: 1 / width, 1 / height, shear, and
// shifts across and down in pixels of a frame of 32 rows.  The same bytes as the reference's.
void distort(const std::uint8_t* images, const float* numbers, std::size_t count, int channels, int rows,
             int columns, std::uint8_t* to);

} // namespace lenet
