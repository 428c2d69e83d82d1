// One thread's buffers, and pixels into tiles.
#pragma once

#include <cstring>

#include "augmentation.hpp"
#include "minimal_gradient.hpp"
#include "network.hpp"
#include "vector.hpp"

namespace {

using lenet::Images;
using lenet::Maps;
using lenet::Network;

// One thread's buffers.
struct Rooms {
    std::uint8_t* seen; // a tile's images as they are seen
    AugmentRoom augment;
    std::uint8_t* bytes; // the same, the lanes of each pixel together
    V* image[tiles];
    V* output[lenet::maximum_layers][tiles]; // spatial layers
    V* dense[lenet::maximum_layers];         // dense layers, (features, tiles)
    V* kept[lenet::maximum_layers][tiles];   // what an activation read, where its value does not tell
    V* flat;                                 // what the first dense layer reads
    V* flow[2];
    V* dense_flow[2];
    V* transformed; // of a minimal convolution: its inputs, the sums of its components,
    V* sums;        // and rows of its input's gradient
    V* product_rows;
    V* gradient;            // lane by lane, of the spatial layers' parameters
    float* filter_gradient; // of the transformed weights of those that are filtered
};

std::size_t spatial_parameters(const Network& network) {
    return network.spatial < network.count ? network.layers[network.spatial].weight : network.parameters;
}

Rooms lay_out(const Network& network, Shelf& shelf) {
    Rooms rooms = {};
    int widest = network.pixels().padded_size(), features = network.pixels().size();
    int transformed = 0, sums = 0, rows = 0;
    std::size_t filters = 0;
    rooms.seen = shelf.take<std::uint8_t>(count_of(network.pixels().size() * lanes));
    rooms.augment = lay_out_augmentation(network.pixels(), shelf);
    rooms.bytes = shelf.take<std::uint8_t>(count_of(network.pixels().size() * lanes));
    for (int t = 0; t < tiles; ++t)
        rooms.image[t] = shelf.take<V>(count_of(network.pixels().padded_size()));
    for (int k = 0; k < network.count; ++k) {
        const Maps& out = network.layers[k].output;
        if (k < network.spatial) {
            for (int t = 0; t < tiles; ++t) rooms.output[k][t] = shelf.take<V>(count_of(out.padded_size()));
            widest = largest(widest, out.padded_size());
        } else {
            rooms.dense[k] = shelf.take<V>(count_of(out.size() * tiles));
        }
        if (!lenet::is_told_by_value(network.layers[k].activation))
            for (int t = 0; t < (k < network.spatial ? tiles : 1); ++t)
                rooms.kept[k][t] =
                    shelf.take<V>(count_of(k < network.spatial ? out.padded_size() : out.size() * tiles));
        features = largest(features, out.size());
        if (is_minimal(network.layers[k])) {
            const Layer& layer = network.layers[k];
            transformed = largest(transformed, transformed_inputs(layer));
            transformed = largest(transformed, band_inputs(layer));
            sums = largest(sums, largest(component_sums(layer), band_flow(layer)));
            rows = largest(rows, product_rows(layer));
            filters += transformed_floats(layer);
        }
    }
    rooms.flat = shelf.take<V>(count_of(features * tiles));
    for (V*& flow : rooms.flow) flow = shelf.take<V>(count_of(widest));
    for (V*& flow : rooms.dense_flow) flow = shelf.take<V>(count_of(features * tiles));
    rooms.transformed = shelf.take<V>(count_of(transformed));
    rooms.sums = shelf.take<V>(count_of(sums));
    rooms.product_rows = shelf.take<V>(count_of(rows));
    rooms.gradient = shelf.take<V>(spatial_parameters(network));
    rooms.filter_gradient = shelf.take<float>(filters + count_of(lanes));
    return rooms;
}

// Sixteen bytes of each lane's image, to the lanes of sixteen pixels: log2(lanes) rounds of the
// perfect shuffle.
inline void transpose_bytes(const std::uint8_t* const* from, std::size_t offset, std::uint8_t* to) {
    Bytes row[lanes], shuffled[lanes];
#pragma GCC unroll 16
    for (int lane = 0; lane < lanes; ++lane) std::memcpy(&row[lane], from[lane] + offset, sizeof(Bytes));
#pragma GCC unroll 4
    for (int round = 1; round < lanes; round *= 2) {
#pragma GCC unroll 8
        for (int k = 0; k < lanes / 2; ++k) {
            shuffled[2 * k] = interleave_low(row[k], row[k + lanes / 2]);
            shuffled[2 * k + 1] = interleave_high(row[k], row[k + lanes / 2]);
        }
#pragma GCC unroll 16
        for (int k = 0; k < lanes; ++k) row[k] = shuffled[k];
    }
    std::memcpy(to, row, sizeof row);
}

// Images [begin, end) into the lanes of a tile; lanes without an image get the first one.
void load_tile(const Network& network, const Images& images, std::size_t begin, std::size_t end,
               const Rooms& rooms, V* tile) {
    const Maps& maps = network.pixels();
    const std::size_t size = count_of(maps.size());
    const std::uint8_t* from[lanes] = {};
    for (int lane = 0; lane < lanes; ++lane) {
        const std::size_t position = begin + count_of(lane);
        from[lane] = position < end
                         ? see(images, position, maps, rooms.augment, rooms.seen + count_of(lane) * size)
                         : from[0];
    }
    std::size_t k = 0;
    for (; k + sizeof(Bytes) <= size; k += sizeof(Bytes))
        transpose_bytes(from, k, rooms.bytes + k * count_of(lanes));
    for (; k < size; ++k)
        for (int lane = 0; lane < lanes; ++lane)
            rooms.bytes[k * count_of(lanes) + count_of(lane)] = from[lane][k];
    const std::uint8_t* bytes = rooms.bytes;
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y) {
            V* row = tile + maps.at(c, y, 0);
            for (int x = 0; x < maps.columns; ++x, bytes += lanes)
                row[x] = to_floats(bytes) * network.pixel_scale + network.pixel_shift;
        }
}

} // namespace
