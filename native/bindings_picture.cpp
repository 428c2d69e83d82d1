// The preparation of a picture, for Python; it needs no kernel and knows no network.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>

#include "distortion.hpp"
#include "picture.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using lenet::Character;
using lenet::Plane;
using lenet::Reading;
using Picture = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;

// The most pixels of a side: sums over a picture and products with a side stay far inside 64 bits.
constexpr std::size_t most_side = 1 << 14;
constexpr int most_image_side = 1 << 12;

// An array that owns the pixels of a plane; None for a plane without any.
nb::object as_array(Plane plane) {
    if (plane.values.empty()) return nb::none();
    auto kept = std::make_unique<Plane>(std::move(plane));
    std::uint8_t* values = kept->values.data();
    const std::size_t shape[2] = {std::size_t(kept->rows), std::size_t(kept->columns)};
    nb::capsule owner(kept.release(), [](void* p) noexcept { delete static_cast<Plane*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<2>>(values, 2, shape, owner));
}

nb::tuple as_tuple(Character& made) {
    return nb::make_tuple(made.box.top, made.box.left, made.box.bottom, made.box.right, made.level,
                          as_array(std::move(made.cropped)), as_array(std::move(made.fitted)),
                          as_array(std::move(made.image)));
}

// A picture (rows, columns) of greys, or (rows, columns, 3) of red, green and blue.
Plane grey_plane(const Picture& picture) {
    const bool is_grey = picture.ndim() == 2, is_colour = picture.ndim() == 3 && picture.shape(2) == 3;
    if (!is_grey && !is_colour)
        throw std::invalid_argument("a picture is (rows, columns), or (rows, columns, 3) of colours");
    if (picture.size() == 0 || picture.shape(0) > most_side || picture.shape(1) > most_side)
        throw std::invalid_argument("the picture has no pixel, or too many");
    const int rows = int(picture.shape(0)), columns = int(picture.shape(1));
    if (is_colour) return lenet::grey_of(picture.data(), rows, columns);
    Plane plane(rows, columns);
    std::copy(picture.data(), picture.data() + picture.size(), plane.values.begin());
    return plane;
}

nb::tuple read_characters(const Picture& picture, int rows, int columns, int ink_side, bool by_mass) {
    const Plane plane = grey_plane(picture);
    if (std::min({rows, columns, ink_side}) < 1 || std::max({rows, columns, ink_side}) > most_image_side)
        throw std::invalid_argument("the image has no pixel, or too many");
    Reading reading;
    {
        nb::gil_scoped_release unlocked;
        reading = lenet::read_characters(plane, {rows, columns, ink_side, by_mass});
    }
    nb::list characters;
    for (Character& character : reading.characters) characters.append(as_tuple(character));
    return nb::make_tuple(reading.dark, reading.rules, as_array(std::move(reading.ground)),
                          as_array(std::move(reading.ink)), as_array(std::move(reading.kept)),
                          nb::tuple(characters));
}

using Images = nb::ndarray<const std::uint8_t, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<const float, nb::shape<-1, 5>, nb::c_contig, nb::device::cpu>;

nb::ndarray<nb::numpy, std::uint8_t> distort(const Images& images, const Rows& numbers) {
    if (numbers.shape(0) != images.shape(0))
        throw std::invalid_argument("there must be a row of numbers for each image");
    if (images.shape(2) > most_side || images.shape(3) > most_side)
        throw std::invalid_argument("the images have too many pixels");
    for (std::size_t k = 0; k < numbers.size(); ++k)
        if (!std::isfinite(numbers.data()[k])) throw std::invalid_argument("a number is not finite");
    const std::size_t shape[4] = {images.shape(0), images.shape(1), images.shape(2), images.shape(3)};
    auto made = std::make_unique<lenet::Bytes>(images.size());
    {
        nb::gil_scoped_release unlocked;
        lenet::distort(images.data(), numbers.data(), shape[0], static_cast<int>(shape[1]),
                       static_cast<int>(shape[2]), static_cast<int>(shape[3]), made->data());
    }
    std::uint8_t* values = made->data();
    nb::capsule owner(made.release(), [](void* p) noexcept { delete static_cast<lenet::Bytes*>(p); });
    return nb::ndarray<nb::numpy, std::uint8_t>(values, 4, shape, owner);
}

} // namespace

NB_MODULE(_picture, m) {
    m.doc() = "A picture made into what a network was trained on.";
    m.def("read_characters", &read_characters, "picture"_a, "rows"_a, "columns"_a, "ink_side"_a, "by_mass"_a,
          "(dark, rules, ground, ink, kept, characters) of uint8 (rows, columns); see native/picture.hpp");
    m.def("distort", &distort, "images"_a, "numbers"_a,
          "uint8 (n, channels, rows, columns), each image distorted by its row of five numbers.");
}
