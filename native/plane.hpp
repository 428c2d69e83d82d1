// A channel of a picture, and what is done to all of it alike: windows, blurs, levels.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lenet {

using Bytes = std::vector<std::uint8_t>;

struct Plane {
    int rows = 0, columns = 0;
    Bytes values; // row by row

    Plane() = default;
    Plane(int height, int width, std::uint8_t value = 0)
        : rows(height), columns(width), values(std::size_t(height) * std::size_t(width), value) {}
    std::size_t size() const { return values.size(); }
    std::uint8_t* row(int r) { return values.data() + std::ptrdiff_t(r) * columns; }
    const std::uint8_t* row(int r) const { return values.data() + std::ptrdiff_t(r) * columns; }
    std::uint8_t& at(int r, int c) { return row(r)[c]; }
    std::uint8_t at(int r, int c) const { return row(r)[c]; }
};

// Rows [top, bottom) and columns [left, right).
struct Box {
    int top = 0, left = 0, bottom = 0, right = 0;
    int height() const { return bottom - top; }
    int width() const { return right - left; }
    int side() const { return height() > width() ? height() : width(); }
};

// Red, green and blue in turn, three bytes a pixel, as one grey: ITU-R 601-2 in 16 bits, as Pillow's mode L.
Plane grey_of(const std::uint8_t* colours, int rows, int columns);
// The highest value of the `window` x `window` pixels around each.
Plane maximum(const Plane& in, int window);
// Everything dark that is narrower than `window` filled up; the edge goes on for ever.
Plane closed(const Plane& in, int window);
// Light for dark.
Plane turned(Plane plane);
// Rows for columns.
Plane flipped(const Plane& in);
// A lone pixel made no lighter and no darker than one of its neighbours.
Plane without_lone_pixels(const Plane& in);
// The mean of each pixel and its eight neighbours.
Plane blurred(const Plane& in);
// In another size, first across and then down, each as Pillow's Resample.c does it with its LANCZOS
// filter: weights in 22 bits.
Plane resized(const Plane& in, int rows, int columns);

using Levels = std::array<int, 256>;

// How many pixels have each level.
Levels levels_of(const Plane& plane);
// The level that `part` of a thousand of `total` pixels do not reach or only just reach.
int quantile(const Levels& counts, std::int64_t total, int part);
// How much neighbours differ: the median of |a pixel - the mean of the four around it|.
int roughness(const Plane& in);

} // namespace lenet
