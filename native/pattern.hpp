// One image at a time, forward and backward, with its lanes over maps: learning pattern by pattern.
//
// Activations are (rows, columns, maps), the maps filled up to whole vectors, and so is the flow;
// the image itself is (rows, columns, channels) and filled up with nothing.  Weights are (taps,
// outputs filled up), which serves all three products of a layer: its outputs, the gradient of its
// inputs, and its own.  What fills up is zero and stays so, for its rate is zero.
#pragma once

#include <cmath>

#include "loss.hpp"
#include "pointwise.hpp"
#include "tile.hpp"

namespace {

// ---- places -------------------------------------------------------------------------------------

inline int filled(int count) { return (count + lanes - 1) / lanes * lanes; }

inline bool is_pooling(Kind kind) { return kind == Kind::average_pooling || kind == Kind::max_pooling; }

// A layer at work on one image: its numbers, what it reads and writes, and their strides.
struct Pattern {
    const Layer& layer;
    int input_width;   // floats from a pixel of the input to the next
    int width;         // of the output
    std::size_t start; // of its weights among the packed ones
    const float* input;
    float* output;
    float* kept;   // what the activation read, or null where its value tells its slope
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

// ---- forward ------------------------------------------------------------------------------------

// P neighbouring pixels of M vectors of maps.  K is the size, or 0 for one that is only known when it
// runs.
template <int P, int M, int K>
[[gnu::noinline]] void pattern_pixels(const Pattern& at, const float* input, const float* weight,
                                      const float* bias, float* output) {
    const int size = K ? K : at.layer.size, maps = at.layer.input.channels;
    const int row = at.layer.input.row_stride() * at.input_width, width = at.width;
    const int stride = at.input_width;
    V sum[P][M];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int m = 0; m < M; ++m) sum[p][m] = load(bias + m * lanes);
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u) {
            const float* from = input + v * row + u * stride;
            for (int i = 0; i < maps; ++i, weight += width) {
                V tap[M];
#pragma GCC unroll 2
                for (int m = 0; m < M; ++m) tap[m] = load(weight + m * lanes);
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) {
                    const V x = splat(from[p * stride + i]);
#pragma GCC unroll 2
                    for (int m = 0; m < M; ++m) sum[p][m] += tap[m] * x;
                }
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int m = 0; m < M; ++m) store(output + p * width + m * lanes, sum[p][m]);
}

// P neighbouring pixels of one vector of maps, of the only input map, by taps of 5x5: a pixel of the
// input is loaded once for all of these that see it.
template <int P>
[[gnu::noinline]] void pattern_pixels_of_one(const Pattern& at, const float* input, const float* weight,
                                             const float* bias, float* output) {
    constexpr int size = 5;
    const int row = at.layer.input.row_stride() * at.input_width, width = at.width;
    V sum[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sum[p] = load(bias);
    for (int v = 0; v < size; ++v, input += row, weight += size * width) {
        V tap[size];
#pragma GCC unroll 5
        for (int u = 0; u < size; ++u) tap[u] = load(weight + u * width);
#pragma GCC unroll 16
        for (int k = 0; k < P + size - 1; ++k) {
            const V x = splat(input[k * at.input_width]);
#pragma GCC unroll 5
            for (int u = 0; u < size; ++u)
                if (k >= u && k - u < P) sum[k - u] += tap[u] * x;
        }
    }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) store(output + p * width, sum[p]);
}

template <int M> void pattern_maps(const Pattern& at, const float* weight, int first) {
    const bool of_one = M == 1 && at.layer.size == 5 && at.layer.input.channels == 1;
    constexpr int most = M == 1 ? 9 : 5;
    const Maps& out = at.layer.output;
    const float* bias = weight + weight_rows(at.layer, at.input_width) * at.width + first;
    const int pad = at.layer.input.border;
    for (int y = 0; y < out.rows; ++y) {
        int blocks = (out.columns + most - 1) / most;
        for (int x = 0; x < out.columns; --blocks) {
            const int pixels = (out.columns - x) / blocks;
            const float* from = at.input + at.input_at(y - pad, x - pad);
            float* to = at.output + at.output_at(y, x) + first;
            with_width<most>(pixels, [&]<int P>() {
                if (of_one)
                    pattern_pixels_of_one<P>(at, from, weight + first, bias, to);
                else if (at.layer.size == 5)
                    pattern_pixels<P, M, 5>(at, from, weight + first, bias, to);
                else
                    pattern_pixels<P, M, 0>(at, from, weight + first, bias, to);
            });
            x += pixels;
        }
    }
}

void pattern_convolution(const Pattern& at, const float* weight) {
    int first = 0;
    for (; first + 2 * lanes <= at.width; first += 2 * lanes) pattern_maps<2>(at, weight, first);
    if (first < at.width) pattern_maps<1>(at, weight, first);
}

template <int M> void pattern_units(const Pattern& at, const float* weight, int first) {
    const int inputs = weight_rows(at.layer, at.input_width);
    V sum[M];
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) sum[m] = load(weight + inputs * at.width + first + m * lanes);
    for (int i = 0; i < inputs; ++i) {
        const float* row = weight + i * at.width + first;
        const V x = splat(at.input[i]);
#pragma GCC unroll 16
        for (int m = 0; m < M; ++m) sum[m] += load(row + m * lanes) * x;
    }
#pragma GCC unroll 16
    for (int m = 0; m < M; ++m) store(at.output + first + m * lanes, sum[m]);
}

void pattern_dense(const Pattern& at, const float* weight) {
    constexpr int most = 8;
    for (int first = 0; first < at.width;) {
        const int vectors_left = (at.width - first) / lanes;
        const int taken = vectors_left < most ? vectors_left : most;
        with_width<most>(taken, [&]<int M>() { pattern_units<M>(at, weight, first); });
        first += taken * lanes;
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

void pattern_subsampling(const Pattern& at, const float* weight) {
    const Maps& out = at.layer.output;
    for (int m = 0; m < at.width; m += lanes) {
        const V coefficient = load(weight + m), bias = load(weight + at.width + m);
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x)
                store(at.output + at.output_at(y, x) + m, square_sum(at, y, x, m) * coefficient + bias);
    }
}

void pattern_pooling(const Pattern& at) {
    const Maps& out = at.layer.output;
    const int size = at.layer.size;
    const float share = 1.0f / static_cast<float>(size * size);
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; ++x)
            for (int m = 0; m < at.width; m += lanes) {
                V best = load(at.input + at.input_at(y * size, x * size) + m);
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        const V value = load(at.input + at.input_at(y * size + v, x * size + u) + m);
                        best = choose(value <= best, best, value);
                    }
                const V mean = square_sum(at, y, x, m) * share;
                store(at.output + at.output_at(y, x) + m, at.layer.kind == Kind::max_pooling ? best : mean);
            }
}

// Distances with a minus sign.
void pattern_distances(const Pattern& at, const float* centres) {
    const int inputs = at.layer.input.channels;
    for (int c = 0; c < at.layer.output.channels; ++c, centres += inputs) {
        V sum = {};
        int j = 0;
        for (; j + lanes <= inputs; j += lanes) {
            const V apart = load(at.input + j) - load(centres + j);
            sum += apart * apart;
        }
        float total = sum_lanes(sum);
        for (; j < inputs; ++j) {
            const float apart = at.input[j] - centres[j];
            total += apart * apart;
        }
        at.output[c] = -at.layer.scale * total;
    }
}

void pattern_activation(const Pattern& at) {
    if (at.layer.activation == Activation::identity) return;
    const Maps& out = at.layer.output;
    if (at.kept != nullptr)
        std::memcpy(at.kept, at.output, count_of(out.channel_stride() * at.width) * sizeof(float));
    with_activation(at.layer.activation, [&]<Activation known>() {
        for (int y = 0; y < out.rows; ++y) {
            float* row = at.output + at.output_at(y, 0);
            for (int k = 0; k < out.columns * at.width; k += lanes)
                store(row + k, activate(known, load(row + k)));
        }
    });
}

void pattern_forward(const Pattern& at, const float* packed) {
    const float* weight = packed + at.start;
    switch (at.layer.kind) {
    case Kind::convolution:
        pattern_convolution(at, weight);
        break;
    case Kind::dense:
        pattern_dense(at, weight);
        break;
    case Kind::subsampling:
        pattern_subsampling(at, weight);
        break;
    case Kind::radial_basis:
        pattern_distances(at, weight);
        break;
    default:
        pattern_pooling(at);
    }
    pattern_activation(at);
}

// Calls body(pattern) for each layer, first to last.
template <typename Body> void for_patterns(const Network& network, const PatternRooms& rooms, Body body) {
    std::size_t start = 0;
    for (int k = 0; k < network.count; ++k) {
        body(pattern_of(network, k, start, rooms));
        start += pattern_layer(network, k);
    }
}

const float* forward_patterns(const Network& network, const float* packed, const std::uint8_t* pixels,
                              const PatternRooms& rooms) {
    load_pattern(network, pixels, rooms.image);
    for_patterns(network, rooms, [&](const Pattern& at) { pattern_forward(at, packed); });
    return rooms.output[network.count - 1];
}

// ---- backward -----------------------------------------------------------------------------------

// What goes backward: the gradient, or the second derivatives of Gauss and Newton without what couples
// them (LeCun et al. 1998, appendix C), for which each factor is squared: the activation's
// slope, the inputs, and the weights, which come squared already.
enum class Order { first, second };

template <Order order, typename T> inline T power(T value) {
    return order == Order::second ? value * value : value;
}

// Multiplies the flow by the activation's slope.
template <Order order> void pattern_slope(const Pattern& at) {
    if (at.layer.activation == Activation::identity) return;
    const Maps& out = at.layer.output;
    with_activation(at.layer.activation, [&]<Activation known>() {
        for (int y = 0; y < out.rows; ++y) {
            const float* row = (at.kept ? at.kept : at.output) + at.output_at(y, 0);
            float* flow = at.flow + at.flow_at(y, 0);
            for (int k = 0; k < out.columns * at.width; k += lanes) {
                V now = activation_gradient(known, load(row + k), load(flow + k));
                if (order == Order::second) now = activation_gradient(known, load(row + k), now);
                store(flow + k, now);
            }
        }
    });
}

// X neighbouring pixels of I maps of the input; the flow is zero beyond its columns.
// K and M are the kernel's size and the vectors of output maps, or 0 for what is only known when it
// runs.
template <int X, int I, int K, int M>
[[gnu::noinline]] void pattern_pixels_below(const Pattern& at, const float* weight, int y, int x, int i) {
    const int size = K ? K : at.layer.size, width = M ? M * lanes : at.width;
    const int maps = at.layer.input.channels, pad = at.layer.input.border;
    const int rows = at.layer.output.rows;
    V sum[X][I] = {};
    for (int v = 0; v < size; ++v) {
        const int from = y + pad - v;
        if (from < 0 || from >= rows) continue;
        const float* flow = at.flow + at.flow_at(from, x + pad);
        const float* tap = weight + (v * size * maps + i) * width;
        for (int u = 0; u < size; ++u, flow -= width, tap += maps * width) {
#pragma GCC unroll 2
            for (int m = 0; m < width; m += lanes) {
                V w[I];
#pragma GCC unroll 4
                for (int j = 0; j < I; ++j) w[j] = load(tap + j * width + m);
#pragma GCC unroll 4
                for (int p = 0; p < X; ++p) {
                    const V f = load(flow + p * width + m);
#pragma GCC unroll 4
                    for (int j = 0; j < I; ++j) sum[p][j] += w[j] * f;
                }
            }
        }
    }
    constexpr int room = (X * I + lanes - 1) / lanes * lanes;
    float sums[room];
    V all[room] = {};
#pragma GCC unroll 12
    for (int k = 0; k < X * I; ++k) all[k] = sum[k / I][k % I];
    for (int k = 0; k < X * I; k += lanes) store(sums + k, lane_sums<lanes>(all + k));
    for (int p = 0; p < X; ++p)
        std::memcpy(at.below + at.below_at(y, x + p) + i, sums + p * I, I * sizeof(float));
}

void pattern_convolution_below(const Pattern& at, const float* weight) {
    constexpr int most_pixels = 4, most_maps = 3;
    const Maps& in = at.layer.input;
    const auto share = [](int left, int most) { return left / ((left + most - 1) / most); };
    for (int y = 0; y < in.rows; ++y)
        for (int x = 0; x < in.columns;) {
            const int pixels = share(in.columns - x, most_pixels);
            for (int i = 0; i < in.channels;) {
                const int maps = share(in.channels - i, most_maps);
                with_width<most_pixels>(pixels, [&]<int X>() {
                    with_width<most_maps>(maps, [&]<int I>() {
                        if (at.layer.size == 5 && at.width == 2 * lanes)
                            pattern_pixels_below<X, I, 5, 2>(at, weight, y, x, i);
                        else
                            pattern_pixels_below<X, I, 0, 0>(at, weight, y, x, i);
                    });
                });
                i += maps;
            }
            x += pixels;
        }
}

// What X neighbouring pixels add to R rows of U taps each, for M vectors of output maps: a pixel of the
// input is loaded once for all of these that see it.
template <Order order, int R, int U, int M, int X>
inline void pattern_pixels_taps(const float* from, int row, int stride, const float* flow, int width,
                                V (&sum)[R][U][M]) {
    V f[X][M];
#pragma GCC unroll 2
    for (int x = 0; x < X; ++x)
#pragma GCC unroll 2
        for (int m = 0; m < M; ++m) f[x][m] = load(flow + x * width + m * lanes);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 6
        for (int k = 0; k < U + X - 1; ++k) {
            const V value = splat(power<order>(from[r * row + k * stride]));
#pragma GCC unroll 2
            for (int x = 0; x < X; ++x)
#pragma GCC unroll 2
                for (int m = 0; m < M; ++m)
                    if (k >= x && k - x < U) sum[r][k - x][m] += f[x][m] * value;
        }
}

// R rows of U taps each, for M vectors of output maps, of one input map.
template <Order order, int R, int U, int M, typename Learn>
inline void pattern_taps(const Pattern& at, int i, int v, int u, int first, Learn learn) {
    const Maps& out = at.layer.output;
    const int stride = at.input_width, width = at.width, pad = at.layer.input.border;
    const int row = at.layer.input.row_stride() * stride;
    V sum[R][U][M] = {};
    for (int y = 0; y < out.rows; ++y) {
        const float* from = at.input + at.input_at(y + v - pad, u - pad) + i;
        const float* flow = at.flow + at.flow_at(y, 0) + first;
        int x = 0;
        for (; x + 2 <= out.columns; x += 2, from += 2 * stride, flow += 2 * width)
            pattern_pixels_taps<order, R, U, M, 2>(from, row, stride, flow, width, sum);
        if (x < out.columns) pattern_pixels_taps<order, R, U, M, 1>(from, row, stride, flow, width, sum);
    }
    for (int r = 0; r < R; ++r)
        for (int t = 0; t < U; ++t)
            for (int m = 0; m < M; ++m) {
                const int tap = ((v + r) * at.layer.size + u + t) * at.layer.input.channels + i;
                learn(at.start + count_of(tap * width + first + m * lanes), sum[r][t][m]);
            }
}

template <Order order, int M, typename Learn>
void pattern_taps_of_maps(const Pattern& at, int first, Learn learn) {
    constexpr int rows = M == 1 ? 2 : 1, most = 5;
    const int size = at.layer.size;
    for (int v = 0; v < size; v += rows)
        for (int i = 0; i < at.layer.input.channels; ++i)
            for (int u = 0; u < size; u += most) {
                const int taps = size - u < most ? size - u : most;
                with_width<most>(taps, [&]<int U>() {
                    if (v + rows <= size)
                        pattern_taps<order, rows, U, M>(at, i, v, u, first, learn);
                    else
                        pattern_taps<order, 1, U, M>(at, i, v, u, first, learn);
                });
            }
}

template <Order order, typename Learn> void pattern_convolution_learn(const Pattern& at, Learn learn) {
    int first = 0;
    for (; first + 2 * lanes <= at.width; first += 2 * lanes)
        pattern_taps_of_maps<order, 2>(at, first, learn);
    if (first < at.width) pattern_taps_of_maps<order, 1>(at, first, learn);
    const std::size_t biases = at.start + count_of(weight_rows(at.layer, 0) * at.width);
    const Maps& out = at.layer.output;
    for (int m = 0; m < at.width; m += lanes) {
        V sum = {}, other = {};
        for (int y = 0; y < out.rows; ++y) {
            const float* flow = at.flow + at.flow_at(y, 0) + m;
            int x = 0;
            for (; x + 2 <= out.columns; x += 2) {
                sum += load(flow + x * at.width);
                other += load(flow + (x + 1) * at.width);
            }
            if (x < out.columns) sum += load(flow + x * at.width);
        }
        learn(biases + count_of(m), sum + other);
    }
}

// Input by input: the flow below it, and its row of weights.  The weights are read before they learn.
template <Order order, typename Learn>
void pattern_dense_backward(const Pattern& at, const float* weight, Learn learn) {
    const int inputs = weight_rows(at.layer, at.input_width), width = at.width;
    for (int i = 0; i < inputs; i += lanes) {
        const int some = inputs - i < lanes ? inputs - i : lanes;
        V below[lanes] = {};
        for (int r = 0; r < some; ++r) {
            const float* row = weight + (i + r) * width;
            const V x = splat(power<order>(at.input[i + r]));
            const std::size_t start = at.start + count_of((i + r) * width);
            V sum = {}, other = {};
            int m = 0;
            for (; m + 2 * lanes <= width; m += 2 * lanes) {
                const V here = load(at.flow + m), next = load(at.flow + m + lanes);
                sum += load(row + m) * here;
                other += load(row + m + lanes) * next;
                learn(start + count_of(m), here * x);
                learn(start + count_of(m + lanes), next * x);
            }
            if (m < width) {
                const V here = load(at.flow + m);
                sum += load(row + m) * here;
                learn(start + count_of(m), here * x);
            }
            below[r] = sum + other;
        }
        if (at.below == nullptr) continue;
        const V sums = lane_sums<lanes>(below);
        std::memcpy(at.below + i, &sums, count_of(some) * sizeof(float));
    }
    const std::size_t biases = at.start + count_of(inputs * width);
    for (int m = 0; m < width; m += lanes) learn(biases + count_of(m), load(at.flow + m));
}

// Writes `flow` of output maps [first, first + lanes) to the maps of one input pixel that feed them.
inline void feed_below(const Pattern& at, float* pixel, int first, V flow) {
    const int copies = at.layer.output.channels / at.layer.input.channels;
    if (copies == 1) return store(pixel + first, flow);
    for (int lane = 0; lane < lanes && first + lane < at.layer.output.channels; ++lane)
        pixel[(first + lane) / copies] += flow[lane];
}

void clear_below(const Pattern& at) {
    const Maps& in = at.layer.input;
    for (int y = 0; y < in.rows; ++y)
        std::memset(at.below + at.below_at(y, 0), 0, count_of(in.columns * at.input_width) * sizeof(float));
}

template <Order order, typename Learn>
void pattern_subsampling_backward(const Pattern& at, const float* weight, Learn learn) {
    const Maps& out = at.layer.output;
    const int size = at.layer.size;
    const bool usual = size == 2 && out.channels == at.layer.input.channels;
    // Every pixel is written then; where squares leave some out, or maps share them, zeros come first.
    const bool covered =
        usual && 2 * out.rows == at.layer.input.rows && 2 * out.columns == at.layer.input.columns;
    if (at.below != nullptr && !covered) clear_below(at);
    for (int m = 0; m < at.width; m += lanes) {
        const V coefficient = load(weight + m);
        V scaled = {}, sum = {};
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const V flow = load(at.flow + at.flow_at(y, x) + m);
                scaled += flow * power<order>(square_sum(at, y, x, m));
                sum += flow;
                if (at.below == nullptr) continue;
                if (usual) {
                    float* pixel = at.below + at.below_at(2 * y, 2 * x) + m;
                    const int right = at.input_width;
                    const int down = (at.layer.input.columns + 2 * at.below_pad) * right;
                    const V part = flow * coefficient;
                    store(pixel, part);
                    store(pixel + right, part);
                    store(pixel + down, part);
                    store(pixel + down + right, part);
                    continue;
                }
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u)
                        feed_below(at, at.below + at.below_at(y * size + v, x * size + u), m,
                                   flow * coefficient);
            }
        learn(at.start + count_of(m), scaled);
        learn(at.start + count_of(at.width + m), sum);
    }
}

template <Order order> void pattern_pooling_backward(const Pattern& at) {
    if (at.below == nullptr) return;
    const Maps& out = at.layer.output;
    const int size = at.layer.size;
    const float share = power<order>(1.0f / static_cast<float>(size * size));
    clear_below(at);
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; ++x)
            for (int m = 0; m < at.width; m += lanes) {
                const V flow = load(at.flow + at.flow_at(y, x) + m);
                const V best = load(at.output + at.output_at(y, x) + m);
                I left = ~I{};
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        V part = flow * share;
                        if (at.layer.kind == Kind::max_pooling) {
                            const int place = at.input_at(y * size + v, x * size + u) + m;
                            const I here = (load(at.input + place) == best) & left;
                            part = choose(here, flow, V{});
                            left &= ~here;
                        }
                        store(at.below + at.below_at(y * size + v, x * size + u) + m, part);
                    }
            }
}

// The gradient of the inputs of distances.
void pattern_distances_below(const Pattern& at, const float* centres) {
    const int inputs = at.layer.input.channels, classes = at.layer.output.channels;
    const float twice = -2.0f * at.layer.scale;
    int j = 0;
    for (; j + lanes <= inputs; j += lanes) {
        const V x = load(at.input + j);
        V sum = {};
        for (int c = 0; c < classes; ++c) sum += (x - load(centres + c * inputs + j)) * at.flow[c];
        store(at.below + j, sum * twice);
    }
    for (; j < inputs; ++j) {
        float sum = 0.0f;
        for (int c = 0; c < classes; ++c) sum += (at.input[j] - centres[c * inputs + j]) * at.flow[c];
        at.below[j] = sum * twice;
    }
}

// Completes the flow of one layer, lets its weights learn, and gives the flow of the layer below.
template <Order order, typename Learn>
void pattern_backward(const Pattern& at, const float* packed, Learn learn) {
    const float* weight = packed + at.start;
    pattern_slope<order>(at);
    switch (at.layer.kind) {
    case Kind::convolution:
        if (at.below != nullptr) pattern_convolution_below(at, weight);
        pattern_convolution_learn<order>(at, learn);
        break;
    case Kind::dense:
        pattern_dense_backward<order>(at, weight, learn);
        break;
    case Kind::subsampling:
        pattern_subsampling_backward<order>(at, weight, learn);
        break;
    case Kind::radial_basis:
        pattern_distances_below(at, weight);
        break;
    default:
        pattern_pooling_backward<order>(at);
    }
}

template <Order order, typename Learn>
void backward_patterns(const Network& network, const float* packed, const PatternRooms& rooms, int last,
                       Learn learn) {
    std::size_t start = pattern_floats(network);
    for (int k = network.count - 1; k >= 0; --k) {
        start -= pattern_layer(network, k);
        if (k <= last) pattern_backward<order>(pattern_of(network, k, start, rooms), packed, learn);
    }
}

// ---- what the engine asks for -------------------------------------------------------------------

// Logits of one image.
void answer_pattern(const Network& network, const float* packed, const std::uint8_t* pixels, float* logits,
                    void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    std::memcpy(logits, forward_patterns(network, packed, pixels, rooms),
                count_of(network.classes()) * sizeof(float));
}

// One step on one image: each weight goes down its gradient at a rate of its own.
Totals learn_pattern(const Network& network, float* packed, const float* rates, const lenet::Loss& loss,
                     const Images& images, std::size_t image, void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    const std::uint8_t* pixels = images.pixels + image * count_of(network.pixels().size());
    const float* logits = forward_patterns(network, packed, pixels, rooms);
    const Totals totals =
        score_one(network.classes(), logits, images, image, 1, loss, rooms.flow[network.count - 1]);
    backward_patterns<Order::first>(
        network, packed, rooms, network.count - 1, [=](std::size_t place, V gradient) {
            store(packed + place, load(packed + place) - load(rates + place) * gradient);
        });
    return totals;
}

// Adds the second derivatives of one image to `curvature`, which is packed as the weights are;
// `squares` are the weights squared.
void curve_pattern(const Network& network, const float* packed, const float* squares,
                   const std::uint8_t* pixels, float* curvature, void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    const float* logits = forward_patterns(network, packed, pixels, rooms);
    int last = network.count - 1;
    if (network.layers[last].kind == Kind::radial_basis) {
        // That of a squared distance, whatever the loss: see `reference::curvature_of_inputs`.
        --last;
        for (int j = 0; j < network.layers[last].output.channels; ++j)
            rooms.flow[last][j] = 2.0f * network.last().scale;
    } else {
        curve_one(network.classes(), logits, rooms.flow[last]);
    }
    backward_patterns<Order::second>(network, squares, rooms, last, [=](std::size_t place, V value) {
        store(curvature + place, load(curvature + place) + value);
    });
}

} // namespace
