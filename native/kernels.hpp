// The vector kernels: the plain ones of reference.hpp over a tile of `lanes` images, one image a
// lane.  A block of accumulators stays in registers while the input streams by; each loaded value
// feeds every channel of the block, and each weight every column.
#pragma once

#include "network.hpp"
#include "vector.hpp"

namespace {

using lenet::Activation;
using lenet::Kind;
using lenet::Layer;
using lenet::Maps;

// ---- activations of one vector ------------------------------------------------------------------

inline V activate(Activation activation, V a) {
    switch (activation) {
    case Activation::relu: return choose(a < 0.0f, V{}, a);
    case Activation::leaky_relu: return choose(a > 0.0f, a, a * lenet::leaky_relu_slope);
    case Activation::sigmoid: return sigmoid(a);
    case Activation::tanh: return hyperbolic_tangent(a);
    case Activation::scaled_tanh:
        return lenet::scaled_tanh_amplitude * hyperbolic_tangent(a * lenet::scaled_tanh_slope);
    case Activation::identity: break;
    }
    return a;
}

inline V activation_gradient(Activation activation, V y, V flow) {
    constexpr float amplitude = lenet::scaled_tanh_amplitude, slope = lenet::scaled_tanh_slope;
    switch (activation) {
    case Activation::relu: return choose(y > 0.0f, flow, V{});
    case Activation::leaky_relu: return choose(y > 0.0f, flow, flow * lenet::leaky_relu_slope);
    case Activation::sigmoid: return flow * (y * (1.0f - y));
    case Activation::tanh: return flow * (1.0f - y * y);
    case Activation::scaled_tanh:
        return flow * (slope * amplitude - y * y * (slope / amplitude));
    case Activation::identity: break;
    }
    return flow;
}

// ---- convolution, forward -----------------------------------------------------------------------

// Activations that are cheap enough to be done while the sums are still in registers.
inline bool is_immediate(Activation activation) {
    return activation == Activation::identity || activation == Activation::relu ||
           activation == Activation::leaky_relu;
}

template <Activation activation, int C, int P>
inline void store_block(const V (&sum)[C][P], int plane, V* output) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) output[c * plane + p] = activate(activation, sum[c][p]);
}

// C channels and P columns of one row of outputs.
template <int C, int P, int K>
inline void convolve_block(const Layer& layer, const V* input, const float* weight,
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
    if (layer.activation == Activation::leaky_relu)
        store_block<Activation::leaky_relu>(sum, out_plane, output);
    else if (layer.activation == Activation::relu)
        store_block<Activation::relu>(sum, out_plane, output);
    else
        store_block<Activation::identity>(sum, out_plane, output);
}

// A row cut evenly into blocks of at most `block_columns`.
template <int C, int K>
inline void convolve_row(const Layer& layer, const V* input, const float* weight,
                         const float* bias, V* output) {
    const int columns = layer.output.columns;
    int blocks = (columns + block_columns - 1) / block_columns;
    for (int x = 0; x < columns; --blocks) {
        const int width = (columns - x) / blocks;
        const V* in = input + x;
        V* out = output + x;
        switch (width) {
        case 6: convolve_block<C, 6, K>(layer, in, weight, bias, out); break;
        case 5: convolve_block<C, 5, K>(layer, in, weight, bias, out); break;
        case 4: convolve_block<C, 4, K>(layer, in, weight, bias, out); break;
        case 3: convolve_block<C, 3, K>(layer, in, weight, bias, out); break;
        case 2: convolve_block<C, 2, K>(layer, in, weight, bias, out); break;
        default: convolve_block<C, 1, K>(layer, in, weight, bias, out); break;
        }
        x += width;
    }
}

template <int K>
void convolve(const Layer& layer, const V* input, const float* weight, const float* bias,
              V* output) {
    const int taps = layer.input.channels * layer.size * layer.size;
    for (int y = 0; y < layer.output.rows; ++y) {
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

// Does the layer's activation too where it is immediate.
void convolution_forward(const Layer& layer, const V* input, const float* weight,
                         const float* bias, V* output) {
    if (layer.size == 5)
        convolve<5>(layer, input, weight, bias, output);
    else
        convolve<0>(layer, input, weight, bias, output);
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
        for (int p = 0; p < P; ++p)
            sum[c][p] = begin == 0 ? V{} : input_gradient[c * in_plane + p];
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
            gather_block<C, P, K, inside>(layer, begin, end, output_gradient, weight, y, x,
                                          row + x);
        };
        switch (width) {
        case 4: block.template operator()<4>(); break;
        case 3: block.template operator()<3>(); break;
        case 2: block.template operator()<2>(); break;
        default: block.template operator()<1>(); break;
        }
        x += width;
    }
    gather_block<C, K - 1, K, right>(layer, begin, end, output_gradient, weight, y, stop,
                                     row + stop);
}

// Any size, for shapes that are too narrow for two edges.
inline void gather_row_narrow(const Layer& layer, const V* output_gradient, const float* weight,
                              int y, V* row) {
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
                                     input_gradient + i * in.channel_stride() +
                                         y * in.row_stride());
            };
            gather.template operator()<gather_channels>();
            gather.template operator()<2>();
            gather.template operator()<1>();
        }
    }
}

// ---- convolution, gradient with respect to weights and biases -----------------------------------

template <int C, int K>
inline void correlate(const Layer& layer, const V* input, const V* output_gradient,
                      V* weight_gradient) {
    const int taps = layer.input.channels * K * K;
    const int plane = layer.output.channel_stride();
    for (int i = 0; i < layer.input.channels; ++i)
        for (int v = 0; v < K; ++v) {
            V sum[C][K] = {};
            for (int y = 0; y < layer.output.rows; ++y) {
                const V* in = input + i * layer.input.channel_stride() +
                              (y + v) * layer.input.row_stride();
                const V* flow = output_gradient + layer.output.at(0, y, 0);
                for (int x = 0; x < layer.output.columns; ++x) {
                    V d[C];
#pragma GCC unroll 16
                    for (int c = 0; c < C; ++c) d[c] = flow[c * plane + x];
#pragma GCC unroll 8
                    for (int u = 0; u < K; ++u) {
                        const V value = in[x + u];
#pragma GCC unroll 16
                        for (int c = 0; c < C; ++c) sum[c][u] += value * d[c];
                    }
                }
            }
            V* gradient = weight_gradient + (i * K + v) * K;
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
                for (int u = 0; u < K; ++u) gradient[c * taps + u] += sum[c][u];
        }
}

inline void correlate_any(const Layer& layer, const V* input, const V* output_gradient,
                          V* weight_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    for (int i = 0; i < in.channels; ++i)
        for (int v = 0; v < layer.size; ++v)
            for (int u = 0; u < layer.size; ++u) {
                V sum = {};
                for (int y = 0; y < out.rows; ++y)
                    for (int x = 0; x < out.columns; ++x)
                        sum += output_gradient[out.at(0, y, x)] *
                               input[in.at(i, y + v - in.border, x + u - in.border)];
                weight_gradient[(i * layer.size + v) * layer.size + u] += sum;
            }
}

// Adds to lane-wise gradients: vectors of the weights' and biases' counts.
void convolution_weight_gradient(const Layer& layer, const V* input, const V* output_gradient,
                                 V* weight_gradient, V* bias_gradient) {
    const Maps& out = layer.output;
    const int taps = layer.input.channels * layer.size * layer.size;
    int o = 0;
    for (; layer.size == 5 && o + taps_channels <= out.channels; o += taps_channels)
        correlate<taps_channels, 5>(layer, input, output_gradient + o * out.channel_stride(),
                                    weight_gradient + o * taps);
    for (; o < out.channels; ++o) {
        const V* flow = output_gradient + o * out.channel_stride();
        if (layer.size == 5)
            correlate<1, 5>(layer, input, flow, weight_gradient + o * taps);
        else
            correlate_any(layer, input, flow, weight_gradient + o * taps);
    }
    for (o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x)
                bias_gradient[o] += output_gradient[out.at(o, y, x)];
}

// ---- pooling ------------------------------------------------------------------------------------

// One row of squares; S is their side, or 0 for any.
template <bool average, int S>
void pool_row(const Layer& layer, const V* from, V* to) {
    const int size = S ? S : layer.size, stride = layer.input.row_stride();
    const float share = 1.0f / static_cast<float>(size * size);
    for (int x = 0; x < layer.output.columns; ++x) {
        V result = from[x * size];
        for (int v = 0; v < size; ++v)
            for (int u = v == 0 ? 1 : 0; u < size; ++u) {
                const V value = from[v * stride + x * size + u];
                // Written so that a NaN on either side stays.
                result = average ? result + value : choose(value <= result, result, value);
            }
        to[x] = average ? result * share : result;
    }
}

template <bool average, int S> void pool(const Layer& layer, const V* input, V* output) {
    const Maps &in = layer.input, &out = layer.output;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            pool_row<average, S>(layer, input + in.at(c, y * layer.size, 0),
                                 output + out.at(c, y, 0));
}

void pooling_forward(const Layer& layer, const V* input, V* output) {
    if (layer.kind == Kind::average_pooling)
        return layer.size == 2 ? pool<true, 2>(layer, input, output)
                               : pool<true, 0>(layer, input, output);
    return layer.size == 2 ? pool<false, 2>(layer, input, output)
                           : pool<false, 0>(layer, input, output);
}

// The squares of one row, each with an equal share of what flows to it.
template <int S> void share_row(const Layer& layer, const V* flow, V* input_gradient) {
    const int size = S ? S : layer.size, stride = layer.input.row_stride();
    const float share = 1.0f / static_cast<float>(size * size);
    for (int x = 0; x < layer.output.columns; ++x) {
        const V part = flow[x] * share;
        for (int v = 0; v < size; ++v)
            for (int u = 0; u < size; ++u) input_gradient[v * stride + x * size + u] = part;
    }
}

// The squares of one row; the first maximum of each gets all that flows to it.
template <int S>
void choose_row(const Layer& layer, const V* input, const V* output, const V* flow,
                V* input_gradient) {
    const int size = S ? S : layer.size, stride = layer.input.row_stride();
    for (int x = 0; x < layer.output.columns; ++x) {
        I left_over = ~I{};
        for (int v = 0; v < size; ++v)
            for (int u = 0; u < size; ++u) {
                const int place = v * stride + x * size + u;
                const I here = (input[place] == output[x]) & left_over;
                input_gradient[place] = choose(here, flow[x], V{});
                left_over &= ~here;
            }
    }
}

// Pixels beyond the last whole square get zero.
void pooling_gradient(const Layer& layer, const V* input, const V* output,
                      const V* output_gradient, V* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    if (out.rows * layer.size != in.rows || out.columns * layer.size != in.columns)
        for (int c = 0; c < in.channels; ++c)
            for (int y = 0; y < in.rows; ++y)
                for (int x = 0; x < in.columns; ++x) input_gradient[in.at(c, y, x)] = V{};
    const bool average = layer.kind == Kind::average_pooling, pairs = layer.size == 2;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y) {
            const int from = in.at(c, y * layer.size, 0), to = out.at(c, y, 0);
            const V* flow = output_gradient + to;
            if (average)
                (pairs ? share_row<2> : share_row<0>)(layer, flow, input_gradient + from);
            else
                (pairs ? choose_row<2> : choose_row<0>)(layer, input + from, output + to, flow,
                                                        input_gradient + from);
        }
}

// ---- dense layers over a group of G tiles: [feature][tile] --------------------------------------

template <int C, int G>
inline void dense_rows(int inputs, const V* input, const float* weight, const float* bias,
                       V* output) {
    V sum[C][G];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) sum[c][g] = splat(bias[c]);
    for (int i = 0; i < inputs; ++i)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
            const V w = splat(weight[c * inputs + i]);
#pragma GCC unroll 4
            for (int g = 0; g < G; ++g) sum[c][g] += w * input[i * G + g];
        }
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) output[c * G + g] = sum[c][g];
}

template <int G>
void dense_forward(int inputs, int outputs, const V* input, const float* weight,
                   const float* bias, V* output) {
    int o = 0;
    for (; o + dense_block <= outputs; o += dense_block)
        dense_rows<dense_block, G>(inputs, input, weight + o * inputs, bias + o, output + o * G);
    for (; o < outputs; ++o)
        dense_rows<1, G>(inputs, input, weight + o * inputs, bias + o, output + o * G);
}

template <int C, int G>
inline void dense_columns(int inputs, int outputs, const V* output_gradient, const float* weight,
                          V* input_gradient) {
    V sum[C][G] = {};
    for (int o = 0; o < outputs; ++o)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) {
            const V w = splat(weight[o * inputs + c]);
#pragma GCC unroll 4
            for (int g = 0; g < G; ++g) sum[c][g] += w * output_gradient[o * G + g];
        }
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) input_gradient[c * G + g] = sum[c][g];
}

template <int G>
void dense_input_gradient(int inputs, int outputs, const V* output_gradient, const float* weight,
                          V* input_gradient) {
    int i = 0;
    for (; i + dense_block <= inputs; i += dense_block)
        dense_columns<dense_block, G>(inputs, outputs, output_gradient, weight + i,
                                      input_gradient + i * G);
    for (; i < inputs; ++i)
        dense_columns<1, G>(inputs, outputs, output_gradient, weight + i, input_gradient + i * G);
}

// A block of R rows and 4 (or 1) vectors of the weight gradient, summed over `samples`.
// `transposed` is the input as (samples, inputs).
template <int R, int P>
inline void outer_block(int inputs, int samples, const float* transposed, const float* flow,
                        float* gradient) {
    V sum[R][P];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum[r][p] = load(gradient + r * inputs + p * lanes);
    for (int n = 0; n < samples; ++n)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) {
            const V x = load(transposed + n * inputs + p * lanes);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) sum[r][p] += x * flow[r * samples + n];
        }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) store(gradient + r * inputs + p * lanes, sum[r][p]);
}

template <int R>
inline void outer_rows(int inputs, int samples, const float* transposed, const float* flow,
                       float* gradient) {
    int i = 0;
    for (; i + 4 * lanes <= inputs; i += 4 * lanes)
        outer_block<R, 4>(inputs, samples, transposed + i, flow, gradient + i);
    for (; i + lanes <= inputs; i += lanes)
        outer_block<R, 1>(inputs, samples, transposed + i, flow, gradient + i);
    for (; i < inputs; ++i)
        for (int r = 0; r < R; ++r) {
            float sum = gradient[r * inputs + i];
            for (int n = 0; n < samples; ++n)
                sum += transposed[n * inputs + i] * flow[r * samples + n];
            gradient[r * inputs + i] = sum;
        }
}

// Adds to plain gradients.  `transposed` is room for samples * inputs floats.
template <int G>
void dense_weight_gradient(int inputs, int outputs, const V* input, const V* output_gradient,
                           float* transposed, float* weight_gradient, float* bias_gradient) {
    constexpr int samples = G * lanes;
    const float* from = reinterpret_cast<const float*>(input);
    for (int i = 0; i < inputs; ++i)
        for (int n = 0; n < samples; ++n) transposed[n * inputs + i] = from[i * samples + n];
    const float* flow = reinterpret_cast<const float*>(output_gradient);
    int o = 0;
    for (; o + weight_rows <= outputs; o += weight_rows)
        outer_rows<weight_rows>(inputs, samples, transposed, flow + o * samples,
                                weight_gradient + o * inputs);
    for (; o < outputs; ++o)
        outer_rows<1>(inputs, samples, transposed, flow + o * samples,
                      weight_gradient + o * inputs);
    for (o = 0; o < outputs; ++o)
        for (int g = 0; g < G; ++g) bias_gradient[o] += sum_lanes(output_gradient[o * G + g]);
}

// ---- activations over maps ----------------------------------------------------------------------

template <Activation activation> void activate_rows(const Maps& maps, V* values) {
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y) {
            V* row = values + maps.at(c, y, 0);
            for (int x = 0; x < maps.columns; ++x) row[x] = activate(activation, row[x]);
        }
}

template <Activation activation>
void slope_rows(const Maps& maps, const V* values, V* flow) {
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y) {
            const int start = maps.at(c, y, 0);
            for (int x = 0; x < maps.columns; ++x)
                flow[start + x] = activation_gradient(activation, values[start + x], flow[start + x]);
        }
}

// In place, the border untouched.
void activation_forward(Activation activation, const Maps& maps, V* values) {
    switch (activation) {
    case Activation::relu: return activate_rows<Activation::relu>(maps, values);
    case Activation::leaky_relu: return activate_rows<Activation::leaky_relu>(maps, values);
    case Activation::sigmoid: return activate_rows<Activation::sigmoid>(maps, values);
    case Activation::tanh: return activate_rows<Activation::tanh>(maps, values);
    case Activation::scaled_tanh: return activate_rows<Activation::scaled_tanh>(maps, values);
    case Activation::identity: return;
    }
}

// Multiplies `flow` by the activation's derivative, from the activation's values.
void activation_backward(Activation activation, const Maps& maps, const V* values, V* flow) {
    switch (activation) {
    case Activation::relu: return slope_rows<Activation::relu>(maps, values, flow);
    case Activation::leaky_relu: return slope_rows<Activation::leaky_relu>(maps, values, flow);
    case Activation::sigmoid: return slope_rows<Activation::sigmoid>(maps, values, flow);
    case Activation::tanh: return slope_rows<Activation::tanh>(maps, values, flow);
    case Activation::scaled_tanh: return slope_rows<Activation::scaled_tanh>(maps, values, flow);
    case Activation::identity: return;
    }
}

} // namespace
