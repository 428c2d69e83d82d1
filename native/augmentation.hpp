// Images as they are seen in one epoch, in the same bytes as src/lenet/data/augmentation.py makes.
// There stands what is done and why; names are as there.
//
// Whole numbers alone, in loops that the compiler turns into vectors.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "network.hpp"
#include "shelf.hpp"

namespace {

using lenet::Augmentation;
using lenet::Images;
using lenet::Maps;

typedef std::int64_t Long;
typedef std::uint64_t Word;

constexpr Long one = Long(1) << 24;  // 1 in the numbers of an affine map
constexpr Long pixel_unit = 1 << 16; // a pixel, or a grey level
constexpr Word golden = 0x9E3779B97F4A7C15;
constexpr Word stream = 0x6175676D656E7473;
constexpr int field_word = 16;
constexpr int series = 8;

enum WordOf : int {
    word_flip,
    word_shift_x,
    word_shift_y,
    word_scale,
    word_squeeze,
    word_shear,
    word_rotation,
    word_contrast,
    word_brightness,
    word_erase,
    word_erase_height,
    word_erase_width,
    word_erase_top,
    word_erase_left,
    word_erase_grey
};

inline Word mix(Word word) {
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
}

// One image's stream.
struct Draws {
    Word key;

    Word word(int number) const { return mix(key + golden * static_cast<Word>(number + 1)); }

    Long drawn(int number, Long amplitude) const {
        return amplitude * (static_cast<Long>(word(number) >> 40) - (Long(1) << 23)) >> 23;
    }

    Long below(int number, Long count) const { return static_cast<Long>(word(number) >> 32) * count >> 32; }
};

inline Draws draws_of(const Augmentation& numbers, std::size_t image) {
    const Word first = mix(static_cast<Word>(numbers.seed) + stream);
    const Word second = mix(first + golden * static_cast<Word>(numbers.epoch));
    return {mix(second + golden * static_cast<Word>(image))};
}

// ---- places -------------------------------------------------------------------------------------

struct Affine {
    Long xx, xy, yx, yy;
};

inline Affine inverse_map(const Augmentation& numbers, const Draws& draws) {
    const Long size = one + draws.drawn(word_scale, numbers.scale);
    const Long ratio = one + draws.drawn(word_squeeze, numbers.squeeze);
    const Long shear = draws.drawn(word_shear, numbers.shear);
    const Long angle = draws.drawn(word_rotation, numbers.rotation), square = angle * angle >> 24;
    const auto part = [](Long divisor) { return (2 * one / divisor + 1) >> 1; };
    Long sine = one, cosine = one;
    for (Long term = series; term > 0; --term) {
        sine = one - ((square * sine >> 24) * part(2 * term * (2 * term + 1)) >> 24);
        cosine = one - ((square * cosine >> 24) * part(2 * term * (2 * term - 1)) >> 24);
    }
    sine = angle * sine >> 24;
    const Long narrow = (one * one / size) * one / ratio, low = (one * one / size) * ratio >> 24;
    return {narrow * (cosine + (shear * sine >> 24)) >> 24, narrow * (sine - (shear * cosine >> 24)) >> 24,
            -(low * sine >> 24), low * cosine >> 24};
}

// What an image is changed in.
struct AugmentRoom {
    std::uint8_t* padded; // the image with two pixels of what is outside around each channel
    std::int32_t* field;  // displacements (2, rows, columns), and as many again
    std::int32_t* line;   // five rows of columns, and one with the reach of a kernel on either side
};

constexpr int outside = 2;

inline int padded_row(const Maps& maps) { return maps.columns + 2 * outside; }

AugmentRoom lay_out_augmentation(const Maps& maps, Shelf& shelf) {
    AugmentRoom room;
    room.padded = shelf.take<std::uint8_t>(
        count_of(maps.channels * (maps.rows + 2 * outside) * padded_row(maps)) + sizeof(Word));
    room.field = shelf.take<std::int32_t>(count_of(4 * maps.rows * maps.columns + 4));
    room.line = shelf.take<std::int32_t>(count_of(6 * maps.columns + lenet::maximum_kernel));
    return room;
}

// Rows of `columns`, each with its neighbours weighted by the kernel; beyond there is nothing.
inline void smooth_rows(const Augmentation& numbers, int rows, int columns, std::int32_t* __restrict line,
                        const std::int32_t* __restrict from, std::int32_t* __restrict to) {
    const int reach = numbers.kernel_size / 2;
    std::memset(line, 0, count_of(columns + 2 * reach) * sizeof *line);
    for (int y = 0; y < rows; ++y, from += columns, to += columns) {
        std::memcpy(line + reach, from, count_of(columns) * sizeof *line);
        std::memset(to, 0, count_of(columns) * sizeof *to);
        for (int k = 0; k < numbers.kernel_size; ++k)
            for (int x = 0; x < columns; ++x) to[x] += numbers.kernel[k] * line[x + k];
        for (int x = 0; x < columns; ++x) to[x] >>= 14;
    }
}

inline void smooth_columns(const Augmentation& numbers, int rows, int columns,
                           const std::int32_t* __restrict from, std::int32_t* __restrict to) {
    const int reach = numbers.kernel_size / 2;
    for (int y = 0; y < rows; ++y) {
        std::int32_t* row = to + y * columns;
        std::memset(row, 0, count_of(columns) * sizeof *row);
        for (int k = 0; k < numbers.kernel_size; ++k) {
            const int place = y + k - reach;
            if (place < 0 || place >= rows) continue;
            for (int x = 0; x < columns; ++x) row[x] += numbers.kernel[k] * from[place * columns + x];
        }
        for (int x = 0; x < columns; ++x) row[x] >>= 14;
    }
}

// Displacements across and down, (2, rows, columns).
inline void displace(const Augmentation& numbers, const Draws& draws, const Maps& maps,
                     const AugmentRoom& room) {
    const int size = maps.rows * maps.columns;
    std::int32_t *noise = room.field, *smoothed = room.field + 2 * size;
    for (int k = 0; k < 2 * size; k += 4) {
        Word word = draws.word(field_word + k / 4);
        for (int j = k; j < k + 4 && j < 2 * size; ++j, word >>= 16)
            noise[j] = static_cast<std::int16_t>(word & 0xffff);
    }
    for (int axis = 0; axis < 2; ++axis, noise += size, smoothed += size) {
        smooth_rows(numbers, maps.rows, maps.columns, room.line, noise, smoothed);
        smooth_columns(numbers, maps.rows, maps.columns, smoothed, noise);
        for (int k = 0; k < size; ++k)
            noise[k] = static_cast<std::int32_t>(numbers.elastic * noise[k] >> 15);
    }
}

// ---- pixels -------------------------------------------------------------------------------------

inline void pad(const Maps& maps, bool edge, const std::uint8_t* from, std::uint8_t* padded) {
    const int row = padded_row(maps), tall = maps.rows + 2 * outside;
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < tall; ++y, padded += row) {
            const int place = y - outside, last = maps.rows - 1;
            const bool is_in = place >= 0 && place <= last;
            std::memset(padded, 0, count_of(row));
            if (!is_in && !edge) continue;
            const int nearest = place < 0 ? 0 : place > last ? last : place;
            const std::uint8_t* line = from + (c * maps.rows + nearest) * maps.columns;
            std::memcpy(padded + outside, line, count_of(maps.columns));
            if (!edge) continue;
            std::memset(padded, line[0], outside);
            std::memset(padded + outside + maps.columns, line[maps.columns - 1], outside);
        }
}

// Two neighbouring pixels: the left one in the lower byte.
inline std::int32_t two_pixels(const std::uint8_t* from) {
    if constexpr (std::endian::native == std::endian::little) {
        std::uint16_t both;
        std::memcpy(&both, from, sizeof both);
        return both;
    }
    return from[0] | from[1] << 8;
}

// Where one row of the result is looked up: columns and rows, no further out than is padded.  With
// `Whole` as it is, nothing overflows: see `is_short`.
template <typename Whole>
[[gnu::noinline]] void place_row(const Affine& map, const Maps& maps, Long x, Long y, bool flipped,
                                 const std::int32_t* __restrict across, const std::int32_t* __restrict down,
                                 std::int32_t* __restrict columns, std::int32_t* __restrict rows) {
    const int width = maps.columns, height = maps.rows;
    // A step to the right adds whole pixels, so 16 bits of the first place never change.
    const auto first_column = static_cast<Whole>((map.xx * x + map.xy * y) >> 16);
    const auto first_row = static_cast<Whole>((map.yx * x + map.yy * y) >> 16);
    const auto column_step = static_cast<Whole>(map.xx), row_step = static_cast<Whole>(map.yx);
    const auto column_middle = static_cast<Whole>((width - 1) * (pixel_unit / 2));
    const auto row_middle = static_cast<Whole>((height - 1) * (pixel_unit / 2));
    const auto least = static_cast<Whole>(-outside * pixel_unit);
    const auto most_column = static_cast<Whole>(width * pixel_unit);
    const auto most_row = static_cast<Whole>(height * pixel_unit);
    const auto clamp = [&](Whole value, Whole most) {
        value = value < least ? least : value;
        return static_cast<std::int32_t>(value > most ? most : value);
    };
    const auto mirror = static_cast<Whole>((width - 1) * pixel_unit);
    for (int k = 0; k < width; ++k) {
        const auto step = static_cast<Whole>(k);
        Whole column = column_middle + ((first_column + step * column_step) >> 8);
        Whole row = row_middle + ((first_row + step * row_step) >> 8);
        if (across != nullptr) {
            column += across[k];
            row += down[k];
        }
        if (flipped) column = mirror - column;
        columns[k] = clamp(column, most_column);
        rows[k] = clamp(row, most_row);
    }
}

// Whether the places of an image fit into 32 bits.
inline bool is_short(const Augmentation& numbers, const Affine& map, const Maps& maps) {
    const auto size = [](Long value) { return value < 0 ? -value : value; };
    const auto fits = [&](Long across, Long down) {
        const Long reach = (maps.rows > maps.columns ? maps.rows : maps.columns) + numbers.shift + 1;
        return (size(across) + size(down)) * reach < Long(1) << 31;
    };
    return fits(map.xx, map.xy) && fits(map.yx, map.yy) && maps.rows + maps.columns < 8192;
}

// Between the four pixels around each place of one row.
[[gnu::noinline]] void sample_row(const Maps& maps, const std::int32_t* __restrict columns,
                                  const std::int32_t* __restrict rows, std::int32_t* __restrict upper,
                                  std::int32_t* __restrict lower, std::int32_t* __restrict starts,
                                  const std::uint8_t* __restrict padded, std::uint8_t* __restrict to) {
    const int width = maps.columns, row = padded_row(maps);
    const int plane = row * (maps.rows + 2 * outside);
    for (int x = 0; x < width; ++x)
        starts[x] = ((rows[x] >> 16) + outside) * row + (columns[x] >> 16) + outside;
    for (int c = 0; c < maps.channels; ++c, padded += plane, to += maps.rows * width) {
        for (int x = 0; x < width; ++x) {
            upper[x] = two_pixels(padded + starts[x]);
            lower[x] = two_pixels(padded + starts[x] + row);
        }
        for (int x = 0; x < width; ++x) {
            const std::int32_t right = columns[x] >> 8 & 255, below = rows[x] >> 8 & 255;
            const std::int32_t high = (256 - right) * (upper[x] & 255) + right * (upper[x] >> 8);
            const std::int32_t low = (256 - right) * (lower[x] & 255) + right * (lower[x] >> 8);
            to[x] = static_cast<std::uint8_t>(((1 << 15) + (256 - below) * high + below * low) >> 16);
        }
    }
}

inline void bend(const Augmentation& numbers, const Draws& draws, const Maps& maps, const AugmentRoom& room,
                 const std::uint8_t* from, std::uint8_t* to) {
    const Affine map = inverse_map(numbers, draws);
    const bool flipped = numbers.flip && draws.word(word_flip) >> 63;
    const Long right = draws.below(word_shift_x, 2 * numbers.shift + 1) - numbers.shift;
    const Long down = draws.below(word_shift_y, 2 * numbers.shift + 1) - numbers.shift;
    const bool displaced = numbers.elastic != 0, small = is_short(numbers, map, maps);
    if (displaced) displace(numbers, draws, maps, room);
    pad(maps, numbers.edge, from, room.padded);
    const int width = maps.columns;
    const Long x = -(width - 1) * (pixel_unit / 2) - right * pixel_unit;
    for (int k = 0; k < maps.rows; ++k) {
        const Long y = (2 * k - (maps.rows - 1)) * (pixel_unit / 2) - down * pixel_unit;
        const std::int32_t* across = displaced ? room.field + k * width : nullptr;
        const std::int32_t* along = displaced ? across + maps.rows * width : nullptr;
        std::int32_t *columns = room.line, *rows = columns + width;
        if (small)
            place_row<std::int32_t>(map, maps, x, y, flipped, across, along, columns, rows);
        else
            place_row<Long>(map, maps, x, y, flipped, across, along, columns, rows);
        sample_row(maps, columns, rows, rows + width, rows + 2 * width, rows + 3 * width, room.padded,
                   to + k * width);
    }
}

// Whole pixels move.
inline void shift(const Augmentation& numbers, const Draws& draws, const Maps& maps,
                  const std::uint8_t* from, std::uint8_t* to) {
    const bool flipped = numbers.flip && draws.word(word_flip) >> 63;
    const Long right = draws.below(word_shift_x, 2 * numbers.shift + 1) - numbers.shift;
    const Long down = draws.below(word_shift_y, 2 * numbers.shift + 1) - numbers.shift;
    const int width = maps.columns, height = maps.rows;
    for (int c = 0; c < maps.channels; ++c, from += height * width)
        for (int y = 0; y < height; ++y, to += width) {
            const Long place = y - down, nearest = place < 0 ? 0 : place >= height ? height - 1 : place;
            const std::uint8_t* row = from + nearest * width;
            const bool outer = place != nearest && !numbers.edge;
            for (int x = 0; x < width; ++x) {
                const Long column = flipped ? width - 1 - (x - right) : x - right;
                const Long near = column < 0 ? 0 : column >= width ? width - 1 : column;
                to[x] = outer || (near != column && !numbers.edge) ? 0 : row[near];
            }
        }
}

inline void light(const Augmentation& numbers, const Draws& draws, int size, std::uint8_t* image) {
    const auto gain = static_cast<std::int32_t>(pixel_unit + draws.drawn(word_contrast, numbers.contrast));
    const auto level = static_cast<std::int32_t>(255 * (pixel_unit / 2) +
                                                 draws.drawn(word_brightness, numbers.brightness));
    for (int k = 0; k < size; ++k) {
        std::int32_t moved = (2 * image[k] - 255) * gain >> 1;
        moved = (moved + level + static_cast<std::int32_t>(pixel_unit / 2)) >> 16;
        moved = moved < 0 ? 0 : moved;
        image[k] = static_cast<std::uint8_t>(moved > 255 ? 255 : moved);
    }
}

inline void erase(const Augmentation& numbers, const Draws& draws, const Maps& maps, std::uint8_t* image) {
    if (static_cast<Long>(draws.word(word_erase) >> 40) >= numbers.erase) return;
    const auto side = [&](Long length) {
        const Long most = length * numbers.erase_side >> 16;
        return most > 1 ? most : 1;
    };
    const Long tall = 1 + draws.below(word_erase_height, side(maps.rows));
    const Long wide = 1 + draws.below(word_erase_width, side(maps.columns));
    const Long top = draws.below(word_erase_top, maps.rows - tall + 1);
    const Long left = draws.below(word_erase_left, maps.columns - wide + 1);
    const auto grey = static_cast<int>(draws.word(word_erase_grey) >> 56);
    for (int c = 0; c < maps.channels; ++c)
        for (Long y = top; y < top + tall; ++y)
            std::memset(image + (c * maps.rows + y) * maps.columns + left, grey,
                        static_cast<std::size_t>(wide));
}

// The image of this number in its split, as it is in the epoch.
void augment(const Augmentation& numbers, std::size_t image, const Maps& maps, const AugmentRoom& room,
             const std::uint8_t* from, std::uint8_t* to) {
    const Draws draws = draws_of(numbers, image);
    if (numbers.bends())
        bend(numbers, draws, maps, room, from, to);
    else if (numbers.shift || numbers.flip)
        shift(numbers, draws, maps, from, to);
    else
        std::memcpy(to, from, count_of(maps.size()));
    if (numbers.contrast || numbers.brightness) light(numbers, draws, maps.size(), to);
    if (numbers.erase) erase(numbers, draws, maps, to);
}

// Pixels of the image at a position, as a step sees them; they are made in `to` if they are changed.
inline const std::uint8_t* see(const Images& images, std::size_t position, const Maps& maps,
                               const AugmentRoom& room, std::uint8_t* to) {
    const std::size_t index = images.index(position);
    const std::uint8_t* pixels = images.pixels + index * count_of(maps.size());
    if (images.augmentation == nullptr) return pixels;
    augment(*images.augmentation, index, maps, room, pixels, to);
    return to;
}

} // namespace
