// One image forward through every layer, with its lanes over maps.
#pragma once

#include <cmath>
#include <cstring>

#include "pattern_places.hpp"

namespace {

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

} // namespace
