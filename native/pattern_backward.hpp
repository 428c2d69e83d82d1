// One image backward through every layer, with its lanes over maps, first or second derivatives.
#pragma once

#include <cstring>

#include "pattern_places.hpp"

namespace {

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

} // namespace
