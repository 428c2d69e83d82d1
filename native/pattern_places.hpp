// Where the weights, activations and flow of one image lie that is learned with its lanes over maps.
//
// Activations are (rows, columns, maps), the maps filled up to whole vectors, and so is the flow;
// the image itself is (rows, columns, channels) and filled up with nothing.  Weights are (taps,
// outputs filled up), which serves all three products of a layer: its outputs, the gradient of its
// inputs, and its own.  What fills up is zero and stays so, for its rate is zero.
#pragma once

#include <cstring>

#include "pointwise.hpp"
#include "tile.hpp"

namespace {

inline int filled(int count) { return (count + lanes - 1) / lanes * lanes; }

// A layer at work on one image: its numbers, what it reads and writes, and their strides.
struct Pattern {
    const Layer& layer;
    int input_width;   // floats from a pixel of the input to the next
    int width;         // of the output
    std::size_t start; // of its weights among the packed ones
    const float* input;
    float* output;
    float* kept;  // what the activation read, or null where its value tells its slope
    float* flow;  // the gradient of the loss with respect to the output
    int flow_pad; // columns of zeros on both sides of the flow
    float* below; // that with respect to the input, or null
    int below_pad;

    int output_at(int y, int x) const { return layer.output.at(0, y, x) * width; }
    int input_at(int y, int x) const { return layer.input.at(0, y, x) * input_width; }
    int flow_at(int y, int x) const {
        return (y * (layer.output.columns + 2 * flow_pad) + x + flow_pad) * width;
    }
    int below_at(int y, int x) const {
        return (y * (layer.input.columns + 2 * below_pad) + x + below_pad) * input_width;
    }
};

// Rows of weights of a layer, each as wide as its outputs; the biases are one more.
int weight_rows(const Layer& layer, int input_width) {
    switch (layer.kind) {
    case Kind::convolution:
        return layer.size * layer.size * layer.input.channels;
    case Kind::dense:
        return layer.input.rows * layer.input.columns * input_width;
    case Kind::subsampling:
        return 1;
    default:
        return 0;
    }
}

int pattern_width(const Layer& layer) {
    return layer.kind == Kind::radial_basis ? layer.output.channels : filled(layer.output.channels);
}

int pattern_input_width(const Network& network, int k) {
    return k == 0 ? network.pixels().channels : pattern_width(network.layers[k - 1]);
}

std::size_t pattern_layer(const Network& network, int k) {
    const Layer& layer = network.layers[k];
    if (is_pooling(layer.kind)) return 0;
    if (layer.kind == Kind::radial_basis) return count_of(layer.output.channels * layer.input.channels);
    const int rows = weight_rows(layer, pattern_input_width(network, k));
    return count_of(rows + 1) * count_of(pattern_width(layer));
}

std::size_t pattern_floats(const Network& network) {
    std::size_t total = 0;
    for (int k = 0; k < network.count; ++k) total += pattern_layer(network, k);
    return total;
}

// Calls body(plain, packed) for the place of each parameter in both layouts.
template <typename Body> void for_parameters(const Network& network, Body body) {
    std::size_t start = 0;
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const Maps& in = layer.input;
        const int stride = pattern_input_width(network, k), width = pattern_width(layer);
        const int outputs = layer.output.channels;
        const bool dense = layer.kind == Kind::dense;
        const int area = dense ? in.rows * in.columns : layer.size * layer.size;
        const int inputs = layer.kind == Kind::subsampling ? 1 : in.channels * area;
        if (layer.kind == Kind::radial_basis) {
            for (std::size_t c = 0; c < pattern_layer(network, k); ++c) body(layer.weight + c, start + c);
        } else if (!is_pooling(layer.kind)) {
            const auto rows = count_of(weight_rows(layer, stride));
            for (int o = 0; o < outputs; ++o) {
                for (int i = 0; i < inputs; ++i) {
                    const int channel = i / area, place = i % area;
                    const int row = layer.kind == Kind::subsampling
                                        ? 0
                                        : place * (dense ? stride : in.channels) + channel;
                    body(layer.weight + count_of(o) * count_of(inputs) + count_of(i),
                         start + count_of(row) * count_of(width) + count_of(o));
                }
                body(layer.bias + count_of(o), start + rows * count_of(width) + count_of(o));
            }
        }
        start += pattern_layer(network, k);
    }
}

void pack_pattern(const Network& network, const float* plain, float* packed) {
    std::memset(packed, 0, pattern_floats(network) * sizeof(float));
    for_parameters(network, [&](std::size_t from, std::size_t to) { packed[to] = plain[from]; });
}

void unpack_pattern(const Network& network, const float* packed, float* plain) {
    for_parameters(network, [&](std::size_t to, std::size_t from) { plain[to] = packed[from]; });
}

// One image's buffers; they must begin zeroed, and only these functions may use them.
struct PatternRooms {
    float* image;
    float* output[lenet::maximum_layers];
    float* kept[lenet::maximum_layers];
    float* flow[lenet::maximum_layers];
};

int flow_pad_of(const Layer& layer) { return layer.kind == Kind::convolution ? layer.size - 1 : 0; }

PatternRooms lay_out_pattern(const Network& network, Shelf& shelf) {
    PatternRooms rooms = {};
    // A vector may be loaded that begins at the last float.
    const auto room = [&](int floats) { return shelf.take<float>(count_of(floats + lanes)); };
    rooms.image = room(network.pixels().padded_size());
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const Maps& out = layer.output;
        const int width = pattern_width(layer);
        rooms.output[k] = room(out.channel_stride() * width);
        if (!lenet::is_told_by_value(layer.activation)) rooms.kept[k] = room(out.channel_stride() * width);
        rooms.flow[k] = room(out.rows * (out.columns + 2 * flow_pad_of(layer)) * width);
    }
    return rooms;
}

std::size_t pattern_bytes(const Network& network) {
    Shelf shelf(nullptr);
    lay_out_pattern(network, shelf);
    return shelf.used();
}

// Layer `k` of the network in these rooms; its weights begin at `start`.
Pattern pattern_of(const Network& network, int k, std::size_t start, const PatternRooms& rooms) {
    const Layer& layer = network.layers[k];
    return {.layer = layer,
            .input_width = pattern_input_width(network, k),
            .width = pattern_width(layer),
            .start = start,
            .input = k == 0 ? rooms.image : rooms.output[k - 1],
            .output = rooms.output[k],
            .kept = rooms.kept[k],
            .flow = rooms.flow[k],
            .flow_pad = flow_pad_of(layer),
            .below = k == 0 ? nullptr : rooms.flow[k - 1],
            .below_pad = k == 0 ? 0 : flow_pad_of(network.layers[k - 1])};
}

void load_pattern(const Network& network, const std::uint8_t* pixels, float* image) {
    const Maps& maps = network.pixels();
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y, pixels += maps.columns) {
            float* row = image + maps.at(0, y, 0) * maps.channels + c;
            for (int x = 0; x < maps.columns; ++x)
                row[x * maps.channels] =
                    static_cast<float>(pixels[x]) * network.pixel_scale + network.pixel_shift;
        }
}

// The maps of the input that feed output maps [first, first + lanes), from one pixel.
inline V feeding(const Pattern& at, const float* pixel, int first) {
    const int copies = at.layer.output.channels / at.layer.input.channels;
    if (copies == 1) return load(pixel + first);
    V maps = {};
    for (int lane = 0; lane < lanes && first + lane < at.layer.output.channels; ++lane)
        maps[lane] = pixel[(first + lane) / copies];
    return maps;
}

inline V square_sum(const Pattern& at, int y, int x, int first) {
    const int size = at.layer.size;
    if (size == 2 && at.layer.output.channels == at.layer.input.channels) {
        const float* pixel = at.input + at.input_at(2 * y, 2 * x) + first;
        const int right = at.input_width, down = at.layer.input.row_stride() * right;
        return (load(pixel) + load(pixel + right)) + (load(pixel + down) + load(pixel + down + right));
    }
    V sum = {};
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u)
            sum += feeding(at, at.input + at.input_at(y * size + v, x * size + u), first);
    return sum;
}

} // namespace
