// Each pixel of a distorted image, looked up where it came from.

#include "distortion.hpp"

#include <algorithm>
#include <cmath>

namespace lenet {

namespace {

// The rows that scaling and shear leave in place, as parts of the height.
constexpr double foot_part = 26.1 / 32.0, waist_part = 18.7 / 32.0;

struct Picture {
    const std::uint8_t* pixels;
    int rows, columns;

    // Background where nothing is.
    float at(int row, int column) const {
        const bool inside = row >= 0 && row < rows && column >= 0 && column < columns;
        return inside ? static_cast<float>(pixels[std::ptrdiff_t(row) * columns + column]) : 0.0f;
    }
    // Between two columns in proportion.
    float between(int row, int column, float part) const {
        const float left = at(row, column);
        return left + (at(row, column + 1) - left) * part;
    }
};

// A place as a whole number and what is left of it; from -1 on, for everything outside is alike.
struct Place {
    int whole;
    float part;

    Place(float place, int size) {
        const float shifted = std::clamp(place, -1.0f, static_cast<float>(size)) + 1.0f;
        whole = static_cast<int>(shifted) - 1;
        part = shifted - static_cast<float>(whole + 1);
    }
};

void distort_one(const Picture& from, const float* numbers, std::uint8_t* to) {
    const float across = numbers[0], down = numbers[1], shear = numbers[2];
    const float unit = static_cast<float>(from.rows / 32.0);
    const float middle = static_cast<float>((from.columns - 1) / 2.0);
    const float foot = static_cast<float>(foot_part * from.rows);
    const float waist = static_cast<float>(waist_part * from.rows);
    for (int row = 0; row < from.rows; ++row) {
        const float y = static_cast<float>(row);
        const Place above(foot + (y - foot) * down + numbers[4] * unit, from.rows);
        const float lean = shear * down * (y - waist) + numbers[3] * unit + middle;
        for (int column = 0; column < from.columns; ++column, ++to) {
            const float x = static_cast<float>(column) - middle;
            const Place left(lean + x * across, from.columns);
            const float upper = from.between(above.whole, left.whole, left.part);
            const float lower = from.between(above.whole + 1, left.whole, left.part);
            *to = static_cast<std::uint8_t>(std::nearbyint(upper + (lower - upper) * above.part));
        }
    }
}

} // namespace

void distort(const std::uint8_t* images, const float* numbers, std::size_t count, int channels, int rows,
             int columns, std::uint8_t* to) {
    const std::size_t size = std::size_t(rows) * std::size_t(columns);
    for (std::size_t n = 0; n < count; ++n, numbers += 5)
        for (int channel = 0; channel < channels; ++channel, images += size, to += size)
            distort_one({images, rows, columns}, numbers, to);
}

} // namespace lenet
