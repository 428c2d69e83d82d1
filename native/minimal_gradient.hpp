// The gradients of a convolution by minimal filtering: its three stages, transposed and backwards.
#pragma once

#include "minimal.hpp"

namespace {

// What component `number` of two neighbouring outputs gets of the gradients of both.
template <int number> inline V component_flow(V first, V second) {
    if constexpr (number == 0) return first;
    if constexpr (number == 1) return first + second;
    if constexpr (number == 2) return first - second;
    if constexpr (number == 3) return -second;
}

// The same for a square of outputs, whose rows are `row` apart.
template <int s> inline V component_flow(const V* flow, int row) {
    constexpr int a = s / components, b = s % components;
    return component_flow<b>(component_flow<a>(flow[0], flow[row]),
                             component_flow<a>(flow[1], flow[row + 1]));
}

// ---- gradient with respect to the input ---------------------------------------------------------

// The gradients of the components, from those of two rows of outputs.
inline void spread_sums(const Layer& layer, const V* output_gradient, V* sums) {
    const Maps& out = layer.output;
    const int squares = out.columns / 2, step = out.channels * squares;
    for (int o = 0; o < out.channels; ++o)
        for (int t = 0; t < squares; ++t) {
            const V* flow = output_gradient + o * out.channel_stride() + 2 * t;
            V* to = sums + o * squares + t;
            for_each<square_components>([&]<int s>() {
                to[s * step] = component_flow<s>(flow, out.row_stride());
            });
        }
}

// Adds the gradients `p` of the products, `step` apart, to those of the inputs d0..d5.
inline void spread_products(const V* p, int step, V* d) {
    const V sum = p[2 * step] + p[4 * step], difference = p[2 * step] - p[4 * step];
    d[0] += p[0];
    d[1] += difference + p[5 * step];
    d[2] += sum - p[0];
    d[3] += p[step] - p[5 * step];
    d[4] += p[3 * step] - p[step] + p[6 * step];
    d[5] -= p[6 * step];
}

// What two rows of outputs, from row `y` on, add to the six rows of one input channel.  Rows that
// the outputs above them did not reach are overwritten.
inline void spread_inputs(const Layer& layer, int channel, int y, const V* transformed, V* rows,
                          V* input_gradient) {
    const int squares = layer.output.columns / 2, step = layer.input.channels * squares;
    const int columns = layer.output.columns + 4;
    for_each<products>([&]<int down>() {
        V d[6] = {};
        V* row = rows + down * columns;
        for (int t = 0; t < squares; ++t) {
            const V* from = transformed + channel * squares + t;
            V p[products];
            for_each<products>([&]<int across>() {
                p[across] = from[square_product(down, across) * step];
            });
            spread_products(p, 1, d);
            for (int x = 0; x < 2; ++x) row[2 * t + x] = d[x];
            for (int x = 0; x < 4; ++x) d[x] = d[x + 2];
            for (int x = 4; x < 6; ++x) d[x] = V{};
        }
        for (int x = 0; x < 4; ++x) row[2 * squares + x] = d[x];
    });
    const int stride = layer.input.row_stride(), kept = y == 0 ? 0 : 4;
    V* to = input_gradient + channel * layer.input.channel_stride() + y * stride;
    for (int x = 0; x < columns; ++x) {
        V d[6] = {};
        for (int r = 0; r < kept; ++r) d[r] = to[r * stride + x];
        spread_products(rows + x, columns, d);
        for (int r = 0; r < 6; ++r) to[r * stride + x] = d[r];
    }
}

// Writes the whole input gradient, its border included.  `transformed` and `sums` have the room that
// a pair of rows needs, `rows` that of `product_rows`.
void minimal_input_gradient(const Layer& layer, const V* output_gradient, const float* weight,
                            V* transformed, V* sums, V* rows, V* input_gradient) {
    const int inputs = layer.input.channels, outputs = layer.output.channels;
    const int squares = layer.output.columns / 2;
    for (int y = 0; y < layer.output.rows; y += 2) {
        spread_sums(layer, output_gradient + layer.output.at(0, y, 0), sums);
        for (int s = 0; s < square_components; ++s) {
            const int start = square_first(s) * inputs, count = square_count(s) * inputs;
            multiply<minimal_gradients>(Product{count, outputs, squares, 1, count},
                                        sums + s * outputs * squares, weight + start * outputs,
                                        nullptr, transformed + start * squares);
        }
        for (int i = 0; i < inputs; ++i)
            spread_inputs(layer, i, y, transformed, rows, input_gradient);
    }
}

// ---- gradient with respect to the weights -------------------------------------------------------
//
// The gradient of a transformed weight is the sum, over all squares, of its component's gradient times
// its transformed input.  Band by band of rows, so that the factors are in the nearest caches, and
// product by product, so that a sum over all squares of the band stays in a register.

constexpr int band_squares = 32; // about as many at a time

inline int band_pairs(const Layer& layer) {
    const int fit = band_squares / (layer.output.columns / 2);
    return fit > 1 ? fit : 1;
}

// The room that a band needs for the inputs of two rows of products.
inline int band_inputs(const Layer& layer) {
    return products * layer.input.channels * band_pairs(layer) * layer.output.columns;
}

// And for the gradients of one component of rows.
inline int band_flow(const Layer& layer) {
    return layer.output.channels * band_pairs(layer) * layer.output.columns;
}

// Calls body<I>(i) for blocks [i, i + I) of the input channels.
template <typename Body> inline void for_input_blocks(const Layer& layer, Body body) {
    const int inputs = layer.input.channels;
    int blocks = (inputs + minimal_inputs - 1) / minimal_inputs;
    for (int i = 0; i < inputs; --blocks) {
        const int width = (inputs - i) / blocks;
        with_width<minimal_inputs>(width, [&]<int I>() { body.template operator()<I>(i); });
        i += width;
    }
}

// C outputs, whose component `b` is made here, and I inputs, over `count` squares; adds to `gradient`,
// [output][input].
template <int b, int C, int I>
[[gnu::noinline]] void correlate_block(int count, const V* flow, const V* inputs,
                                       float* gradient) {
    V sum[C * I] = {};
    for (int n = 0; n < count; ++n) {
        V d[C];
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
            const V* pair = flow + 2 * (c * count + n);
            d[c] = component_flow<b>(pair[0], pair[1]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < I; ++i) {
            V x = inputs[i * count + n];
            keep_in_register(x); // or it is loaded again for every output
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) sum[c * I + i] += x * d[c];
        }
    }
    add_lane_sums<C * I>(sum, gradient);
}

// All products of a component of rows, `down` of them, for C outputs from `o` on.
template <int a, int C>
inline void correlate_outputs(const Layer& layer, int o, int count, const V* flow,
                              const V* transformed, float* gradient) {
    const int inputs = layer.input.channels, outputs = layer.output.channels;
    for_each<components>([&]<int b>() {
        constexpr int s = a * components + b;
        for (int k = 0; k < square_count(s); ++k) {
            const int down = k / product_count[b], across = first_product[b] + k % product_count[b];
            const V* from = transformed + (down * products + across) * inputs * count;
            float* to = gradient + (square_first(s) + k) * inputs * outputs;
            for_input_blocks(layer, [&]<int I>(int i) {
                correlate_block<b, C, I>(count, flow + 2 * o * count, from + i * count,
                                         to + i * outputs + o * I);
            });
        }
    });
}

// Rows [first, first + 2 * pairs) of the outputs, and component `a` of rows.
template <int a>
inline void correlate_band(const Layer& layer, int first, int pairs, const V* input,
                           const V* output_gradient, V* transformed, V* flow, float* gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int squares = out.columns / 2, count = pairs * squares, plane = in.channels * count;
    for_each<product_count[a]>([&]<int place>() {
        for (int i = 0; i < in.channels; ++i)
            for (int pair = 0; pair < pairs; ++pair) {
                V* to = transformed + place * products * plane + i * count + pair * squares;
                transform_rows<first_product[a] + place>(
                    layer, input + i * in.channel_stride() + (first + 2 * pair) * in.row_stride(),
                    [&]<int across>(int t, V value) { to[across * plane + t] = value; });
            }
    });
    V* to = flow;
    for (int o = 0; o < out.channels; ++o)
        for (int y = first; y < first + 2 * pairs; y += 2) {
            const V* from = output_gradient + out.at(o, y, 0);
            for (int x = 0; x < out.columns; ++x)
                *to++ = component_flow<a>(from[x], from[x + out.row_stride()]);
        }
    int o = 0;
    const auto rows = [&]<int C>() {
        for (; o + C <= out.channels; o += C)
            correlate_outputs<a, C>(layer, o, count, flow, transformed, gradient);
    };
    rows.template operator()<minimal_outputs>();
    rows.template operator()<1>();
}

// Adds what all rows of the outputs give to the gradient of the transformed weights, lanes summed:
// [product][block of inputs][output][input], and room for one vector more.  `transformed` and `sums`
// have the room of a band.
void minimal_weight_gradient(const Layer& layer, const V* input, const V* output_gradient,
                             V* transformed, V* sums, float* gradient) {
    const int pairs = layer.output.rows / 2, most = band_pairs(layer);
    for (int pair = 0; pair < pairs; pair += most) {
        const int count = pair + most < pairs ? most : pairs - pair;
        for_each<components>([&]<int a>() {
            correlate_band<a>(layer, 2 * pair, count, input, output_gradient, transformed, sums,
                              gradient);
        });
    }
}

// The gradients of five taps from those of their products.
inline void spread_weights(const float* u, int u_step, float* g, int step) {
    const float even = (u[2 * u_step] + u[4 * u_step]) * 0.5f;
    g[0] = u[0] + even;
    g[step] = (u[2 * u_step] - u[4 * u_step]) * 0.5f;
    g[2 * step] = u[5 * u_step] + even;
    g[3 * step] = u[u_step] + u[3 * u_step];
    g[4 * step] = u[3 * u_step] + u[6 * u_step];
}

// The gradient (output, input, 5, 5) of the weights from that of the transformed ones.
void spread_weight_gradient(const Layer& layer, const float* transformed, float* gradient) {
    const int inputs = layer.input.channels, outputs = layer.output.channels;
    for_input_blocks(layer, [&]<int I>(int first) {
        for (int o = 0; o < outputs; ++o)
            for (int i = first; i < first + I; ++i) {
                const float* from = transformed + first * outputs + o * I + i - first;
                float square[square_products], rows[5 * products];
                for_each<square_products>([&]<int k>() {
                    square[k] = from[square_product(k / products, k % products) * inputs * outputs];
                });
                for (int q = 0; q < products; ++q)
                    spread_weights(square + q, products, rows + q, products);
                for (int v = 0; v < 5; ++v)
                    spread_weights(rows + v * products, 1, gradient + (o * inputs + i) * 25 + v * 5,
                                   1);
            }
    });
}

} // namespace
