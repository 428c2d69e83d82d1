// Convolutions over a tile of `lanes` images, one image a lane.
//
// A block of accumulators stays in registers while the input streams by; each loaded value feeds
// every channel of the block, and each weight every column.
#pragma once

#include "pointwise.hpp"

namespace {

using lenet::Layer;
using lenet::Maps;

// ---- convolution, forward -----------------------------------------------------------------------

template <Activation activation, int C, int P>
inline void store_block(const V (&sum)[C][P], int plane, V* output) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) output[c * plane + p] = activate(activation, sum[c][p]);
}

// C channels and P columns of one row of outputs.
template <int C, int P, int K>
[[gnu::noinline]] void convolve_block(const Layer& layer, const V* input, const float* weight,
                                      const float* bias, V* output) {
    const int size = K ? K : layer.size, channels = layer.input.channels;
    const int row = layer.input.row_stride(), plane = layer.input.channel_stride();
    const int taps = channels * size * size, out_plane = layer.output.channel_stride();
    V sum[C][P];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) sum[c][p] = splat(bias[c]);
    for (int i = 0; i < channels; ++i)
        for (int v = 0; v < size; ++v) {
            const V* in = input + i * plane + v * row;
            const float* w = weight + (i * size + v) * size;
#pragma GCC unroll 8
            for (int u = 0; u < size; ++u) {
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) {
                    const V x = in[p + u];
#pragma GCC unroll 16
                    for (int c = 0; c < C; ++c) sum[c][p] += x * w[c * taps + u];
                }
            }
        }
    with_immediate(layer.activation,
                   [&]<Activation known>() { store_block<known>(sum, out_plane, output); });
}

// A row cut evenly into blocks: of the same width where that can be had, for the processor guesses
// wrong where widths change.
template <int C, int K>
inline void convolve_row(const Layer& layer, const V* input, const float* weight, const float* bias,
                         V* output) {
    const int columns = layer.output.columns;
    const int most = columns % block_columns != 0 && columns % 4 == 0 ? 4 : block_columns;
    int blocks = (columns + most - 1) / most;
    for (int x = 0; x < columns; --blocks) {
        const int width = (columns - x) / blocks;
        with_width<block_columns>(
            width, [&]<int P>() { convolve_block<C, P, K>(layer, input + x, weight, bias, output + x); });
        x += width;
    }
}

template <int K>
void convolve(const Layer& layer, int first, int last, const V* input, const float* weight,
              const float* bias, V* output) {
    const int taps = layer.input.channels * layer.size * layer.size;
    for (int y = first; y < last; ++y) {
        const V* in = input + y * layer.input.row_stride();
        int o = 0;
        const auto rows = [&]<int C>() {
            for (; o + C <= layer.output.channels; o += C)
                convolve_row<C, K>(layer, in, weight + o * taps, bias + o,
                                   output + layer.output.at(o, y, 0));
        };
        rows.template operator()<block_channels>();
        rows.template operator()<2>();
        rows.template operator()<1>();
    }
}

// Rows [first, last) of the outputs, with the layer's activation where that is immediate.
void convolution_forward(const Layer& layer, int first, int last, const V* input, const float* weight,
                         const float* bias, V* output) {
    if (layer.size == 5)
        convolve<5>(layer, first, last, input, weight, bias, output);
    else
        convolve<0>(layer, first, last, input, weight, bias, output);
}

// ---- convolution, gradient with respect to the input --------------------------------------------

enum Edge { inside, left, right };

// P columns from `x` of row `y` of C input maps: each gathers the gradients of output maps [begin,
// end) that its pixel fed.  At the left edge column p has only taps u <= p, at the right edge only
// u > p.
template <int C, int P, int K, Edge edge>
inline void gather_block(const Layer& layer, int begin, int end, const V* output_gradient,
                         const float* weight, int y, int x, V* input_gradient) {
    const int area = K * K, taps = layer.input.channels * area;
    const int in_plane = layer.input.channel_stride(), row = layer.output.row_stride();
    const int first = y - layer.output.rows + 1 > 0 ? y - layer.output.rows + 1 : 0;
    const int last = y < K - 1 ? y : K - 1;
    V sum[C][P];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) sum[c][p] = begin == 0 ? V{} : input_gradient[c * in_plane + p];
    for (int o = begin; o < end; ++o) {
        const V* flow = output_gradient + layer.output.at(o, y - first, x);
        const float* w = weight + o * taps + first * K;
        for (int v = first; v <= last; ++v) {
#pragma GCC unroll 8
            for (int u = 0; u < K; ++u) {
                load_again(flow);
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) {
                    if ((edge == left && u > p) || (edge == right && u <= p)) continue;
                    const V d = flow[p - u];
#pragma GCC unroll 16
                    for (int c = 0; c < C; ++c) sum[c][p] += d * w[c * area + u];
                }
            }
            flow -= row;
            w += K;
        }
    }
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) input_gradient[c * in_plane + p] = sum[c][p];
}

// Row `y`: K - 1 columns at either edge, and those between them in even blocks.
template <int C, int K>
inline void gather_row(const Layer& layer, int begin, int end, const V* output_gradient,
                       const float* weight, int y, V* row) {
    const int stop = layer.output.columns;
    gather_block<C, K - 1, K, left>(layer, begin, end, output_gradient, weight, y, 0, row);
    int blocks = (stop - K + gather_columns) / gather_columns;
    for (int x = K - 1; x < stop; --blocks) {
        const int width = (stop - x) / blocks;
        const auto block = [&]<int P>() {
            gather_block<C, P, K, inside>(layer, begin, end, output_gradient, weight, y, x, row + x);
        };
        with_width<gather_columns>(width, block);
        x += width;
    }
    gather_block<C, K - 1, K, right>(layer, begin, end, output_gradient, weight, y, stop, row + stop);
}

// Any size, for shapes that are too narrow for two edges.
inline void gather_row_narrow(const Layer& layer, const V* output_gradient, const float* weight, int y,
                              V* row) {
    const Maps& out = layer.output;
    const int taps = layer.input.channels * layer.size * layer.size;
    for (int x = 0; x < layer.input.row_stride(); ++x) {
        V sum = {};
        for (int o = 0; o < out.channels; ++o)
            for (int v = 0; v < layer.size; ++v)
                for (int u = 0; u < layer.size; ++u)
                    if (y - v >= 0 && y - v < out.rows && x - u >= 0 && x - u < out.columns)
                        sum += output_gradient[out.at(o, y - v, x - u)] *
                               weight[o * taps + v * layer.size + u];
        row[x] = sum;
    }
}

// Writes the whole input gradient, its border included.
void convolution_input_gradient(const Layer& layer, const V* output_gradient, const float* weight,
                                V* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int area = layer.size * layer.size, rows = in.rows + 2 * in.border;
    if (layer.size != 5 || out.columns < 5) {
        for (int y = 0; y < rows; ++y)
            for (int i = 0; i < in.channels; ++i)
                gather_row_narrow(layer, output_gradient, weight + i * area, y,
                                  input_gradient + i * in.channel_stride() + y * in.row_stride());
        return;
    }
    // As many output maps at a time as leave half of the first-level cache free.
    const int fit = first_level_cache / 2 / (5 * out.columns * static_cast<int>(sizeof(V)));
    const int maps = fit > 1 ? fit : 1, parts = (out.channels + maps - 1) / maps;
    for (int part = 0; part < parts; ++part) {
        const int begin = out.channels * part / parts, end = out.channels * (part + 1) / parts;
        for (int y = 0; y < rows; ++y) {
            int i = 0;
            const auto gather = [&]<int C>() {
                for (; i + C <= in.channels; i += C)
                    gather_row<C, 5>(layer, begin, end, output_gradient, weight + i * area, y,
                                     input_gradient + i * in.channel_stride() + y * in.row_stride());
            };
            gather.template operator()<gather_channels>();
            gather.template operator()<2>();
            gather.template operator()<1>();
        }
    }
}

// ---- convolution, gradient with respect to weights and biases -----------------------------------

template <int C, int K>
inline void correlate(const Layer& layer, int first, int last, const V* input, const V* output_gradient,
                      V* weight_gradient) {
    const int taps = layer.input.channels * K * K;
    const int plane = layer.output.channel_stride();
    for (int i = 0; i < layer.input.channels; ++i)
        for (int v = 0; v < K; ++v) {
            V* gradient = weight_gradient + (i * K + v) * K;
            V sum[C][K];
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
                for (int u = 0; u < K; ++u) sum[c][u] = gradient[c * taps + u];
            for (int y = first; y < last; ++y) {
                const V* in = input + i * layer.input.channel_stride() + (y + v) * layer.input.row_stride();
                const V* flow = output_gradient + layer.output.at(0, y, 0);
                for (int x = 0; x < layer.output.columns; ++x) {
                    V d[C];
#pragma GCC unroll 16
                    for (int c = 0; c < C; ++c) d[c] = flow[c * plane + x];
#pragma GCC unroll 8
                    for (int u = 0; u < K; ++u) {
                        V value = in[x + u];
                        keep_in_register(value); // or it is loaded again for every channel
#pragma GCC unroll 16
                        for (int c = 0; c < C; ++c) sum[c][u] += value * d[c];
                    }
                }
            }
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
                for (int u = 0; u < K; ++u) gradient[c * taps + u] = sum[c][u];
        }
}

inline void correlate_any(const Layer& layer, int first, int last, const V* input, const V* output_gradient,
                          V* weight_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    for (int i = 0; i < in.channels; ++i)
        for (int v = 0; v < layer.size; ++v)
            for (int u = 0; u < layer.size; ++u) {
                V sum = {};
                for (int y = first; y < last; ++y)
                    for (int x = 0; x < out.columns; ++x)
                        sum += output_gradient[out.at(0, y, x)] *
                               input[in.at(i, y + v - in.border, x + u - in.border)];
                weight_gradient[(i * layer.size + v) * layer.size + u] += sum;
            }
}

// What rows [first, last) of the outputs add to the lane-wise gradient of the biases.
void convolution_bias_gradient(const Layer& layer, int first, int last, const V* output_gradient,
                               V* bias_gradient) {
    const Maps& out = layer.output;
    for (int o = 0; o < out.channels; ++o) {
        V sum[4] = {bias_gradient[o]}; // four chains of additions, none of which waits for another
        for (int y = first; y < last; ++y) {
            const V* row = output_gradient + out.at(o, y, 0);
            int x = 0;
            for (; x + 4 <= out.columns; x += 4)
#pragma GCC unroll 4
                for (int k = 0; k < 4; ++k) sum[k] += row[x + k];
            for (; x < out.columns; ++x) sum[0] += row[x];
        }
        bias_gradient[o] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
}

// And to that of the weights.
void convolution_weight_gradient(const Layer& layer, int first, int last, const V* input,
                                 const V* output_gradient, V* weight_gradient) {
    const Maps& out = layer.output;
    const int taps = layer.input.channels * layer.size * layer.size;
    int o = 0;
    for (; layer.size == 5 && o + taps_channels <= out.channels; o += taps_channels)
        correlate<taps_channels, 5>(layer, first, last, input, output_gradient + o * out.channel_stride(),
                                    weight_gradient + o * taps);
    for (; o < out.channels; ++o) {
        const V* flow = output_gradient + o * out.channel_stride();
        if (layer.size == 5)
            correlate<1, 5>(layer, first, last, input, flow, weight_gradient + o * taps);
        else
            correlate_any(layer, first, last, input, flow, weight_gradient + o * taps);
    }
}

} // namespace
