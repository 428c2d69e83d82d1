// One image backwards, with its lanes over maps or columns: a step on a few images.
//
// Activations lie as single.hpp leaves them.  The flow into a layer's outputs has no border: planar
// flow is (maps, rows, columns) in rows of whole vectors, zero where the columns end, and other flow is
// (rows, columns, maps), the maps filled up to whole vectors.
#pragma once

#include "single.hpp"

namespace {

int flow_row(const Maps& maps) { return vectors(maps.columns) * lanes; }
int flow_plane(const Maps& maps) { return maps.rows * flow_row(maps); }

int flow_floats(const Maps& maps, bool planar) {
    return planar ? maps.channels * flow_plane(maps)
                  : maps.rows * maps.columns * vectors(maps.channels) * lanes;
}

// ---- pooling and activations --------------------------------------------------------------------

// `flow` becomes the gradient of what the activation read to give `output`, pixel by pixel.
void one_activation_gradient(const Layer& layer, bool planar, const float* output, float* flow) {
    const Maps& out = layer.output;
    if (layer.activation == Activation::identity) return;
    const int pixel = places(out, planar).pixel;
    const int maps = planar ? out.channels : 1, row = planar ? flow_row(out) : out.columns * pixel;
    with_activation(layer.activation, [&]<Activation known>() {
        for (int c = 0; c < maps; ++c)
            for (int y = 0; y < out.rows; ++y, flow += row) {
                const float* values = output + out.at(c, y, 0) * pixel;
                for (int k = 0; k < row; k += lanes)
                    store(flow + k, activation_gradient(known, load(values + k), load(flow + k)));
            }
    });
}

// One square of maps side by side: as `spread_rows` does it.
template <Kind kind, Activation activation>
inline void one_spread(const Layer& layer, const float* from, int pixel, V flow, V best, float* to) {
    const int size = layer.size;
    const float share = 1.0f / static_cast<float>(size * size);
    I left_over = ~I{};
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u) {
            const V value = load(from + (v * layer.input.row_stride() + u) * pixel);
            V part = flow * share;
            if (kind == Kind::max_pooling) {
                const I here = (value == best) & left_over;
                part = choose(here, flow, V{});
                left_over &= ~here;
            }
            store(to + (v * layer.input.columns + u) * pixel, activation_gradient(activation, value, part));
        }
}

template <Kind kind, Activation activation>
inline void one_spread_pixels(const Layer& layer, const float* input, const float* output,
                              const float* flow, float* below) {
    const Maps &in = layer.input, &out = layer.output;
    const int pixel = places(in, false).pixel, size = layer.size;
    if (in.rows % size != 0 || in.columns % size != 0)
        std::memset(below, 0, count_of(flow_floats(in, false)) * sizeof(float));
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; ++x, flow += pixel)
            for (int c = 0; c < pixel; c += lanes)
                one_spread<kind, activation>(layer, input + in.at(0, y * size, x * size) * pixel + c, pixel,
                                             load(flow + c), load(output + out.at(0, y, x) * pixel + c),
                                             below + (y * size * in.columns + x * size) * pixel + c);
}

// Squares of 2x2, whose columns are taken apart and put together again.
template <Kind kind, Activation activation>
inline void one_spread_pairs(const Layer& layer, const float* input, const float* output, const float* flow,
                             float* below) {
    const Maps &in = layer.input, &out = layer.output;
    const int row = in.row_stride(), to_row = flow_row(in);
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y, flow += flow_row(out))
            for (int x = 0; x < out.columns; x += lanes) {
                const V part = load(flow + x), best = load(output + out.at(c, y, x));
                const float* from = input + in.at(c, 2 * y, 2 * x);
                float* to = below + c * flow_plane(in) + 2 * y * to_row + 2 * x;
                I left_over = ~I{};
                for (int v = 0; v < 2; ++v) {
                    const V low = load(from + v * row), high = load(from + v * row + lanes);
                    const V value[2] = {zip(low, high, EvenLanes{}), zip(low, high, OddLanes{})};
                    V spread[2];
                    for (int u = 0; u < 2; ++u) {
                        spread[u] = part * 0.25f;
                        if (kind == Kind::max_pooling) {
                            const I here = (value[u] == best) & left_over;
                            spread[u] = choose(here, part, V{});
                            left_over &= ~here;
                        }
                        spread[u] = activation_gradient(activation, value[u], spread[u]);
                    }
                    store(to + v * to_row, zip(spread[0], spread[1], Low{}));
                    if (2 * x + lanes < to_row)
                        store(to + v * to_row + lanes, zip(spread[0], spread[1], High{}));
                }
            }
}

// Any size, one by one.
template <Kind kind, Activation activation>
inline void one_spread_planar(const Layer& layer, const float* input, const float* output,
                              const float* flow, float* below) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    const float share = 1.0f / static_cast<float>(size * size);
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y, flow += flow_row(out))
            for (int x = 0; x < out.columns; ++x) {
                bool taken = false;
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        const float value = input[in.at(c, y * size + v, x * size + u)];
                        float part = flow[x] * share;
                        if (kind == Kind::max_pooling) {
                            const bool here = !taken && value == output[out.at(c, y, x)];
                            part = here ? flow[x] : 0.0f;
                            taken = taken || here;
                        }
                        below[c * flow_plane(in) + (y * size + v) * flow_row(in) + x * size + u] =
                            activation_gradient(activation, splat(value), splat(part))[0];
                    }
            }
}

// The gradient of what `activation` read to give the inputs.  Pixels beyond the last whole square get
// zero.
void one_pooling_gradient(const Layer& layer, Activation activation, bool planar, const float* input,
                          const float* output, const float* flow, float* below) {
    const Maps &in = layer.input, &out = layer.output;
    const bool pairs = planar && layer.size == 2;
    const bool covered = pairs && in.rows % 2 == 0 && flow_row(in) <= 2 * flow_row(out);
    if (planar && !covered) std::memset(below, 0, count_of(flow_floats(in, true)) * sizeof(float));
    const auto spread = [&]<Kind kind>() {
        with_activation(activation, [&]<Activation known>() {
            if (pairs)
                one_spread_pairs<kind, known>(layer, input, output, flow, below);
            else if (planar)
                one_spread_planar<kind, known>(layer, input, output, flow, below);
            else
                one_spread_pixels<kind, known>(layer, input, output, flow, below);
        });
    };
    if (layer.kind == Kind::average_pooling)
        spread.template operator()<Kind::average_pooling>();
    else
        spread.template operator()<Kind::max_pooling>();
}

// ---- convolution, gradient with respect to weights and biases -----------------------------------

constexpr int taps_block = 5;

// C maps and U neighbouring taps of one row, with lanes over columns.
template <int C, int U>
[[gnu::noinline]] void one_correlate_columns(const Layer& layer, const float* input, const float* flow,
                                             float* gradient) {
    const Maps& out = layer.output;
    const int taps = layer.input.channels * layer.size * layer.size;
    const int row = flow_row(out), plane = flow_plane(out);
    V sum[C * U] = {};
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; x += lanes) {
            V d[C];
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c) d[c] = load(flow + c * plane + y * row + x);
#pragma GCC unroll 8
            for (int u = 0; u < U; ++u) {
                V value = load(input + y * layer.input.row_stride() + x + u);
                keep_in_register(value);
#pragma GCC unroll 4
                for (int c = 0; c < C; ++c) sum[c * U + u] += value * d[c];
            }
        }
    float sums[(C * U + lanes - 1) / lanes * lanes] = {};
    add_lane_sums<C * U>(sum, sums);
    for (int c = 0; c < C; ++c)
        for (int u = 0; u < U; ++u) gradient[c * taps + u] = sums[c * U + u];
}

// R rows of U neighbouring taps, with lanes over maps, M vectors of them; `pixel` as S, or 0 for one that
// is only known when it runs.
template <int M, int R, int U, int S>
[[gnu::noinline]] void one_correlate_pixels(const Layer& layer, const float* input, int pixel,
                                            const float* flow, int width, float* taps) {
    if (S > 0) pixel = S;
    const int row = layer.input.row_stride() * pixel;
    V sum[R * U][M] = {};
    for (int y = 0; y < layer.output.rows; ++y) {
        const float* from = input + y * row;
        for (int x = 0; x < layer.output.columns; ++x, flow += width, from += pixel) {
            V d[M];
#pragma GCC unroll 4
            for (int m = 0; m < M; ++m) d[m] = load(flow + m * lanes);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
                for (int u = 0; u < U; ++u) {
                    const float value = from[r * row + u * pixel];
#pragma GCC unroll 4
                    for (int m = 0; m < M; ++m) sum[r * U + u][m] += d[m] * value;
                }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
            for (int m = 0; m < M; ++m)
                store(taps + (r * layer.size + u) * width + m * lanes, sum[r * U + u][m]);
}

// Rows of taps, each of them a vector of maps, into (maps, taps).
inline void one_unpack(const float* from, int width, int taps, int maps, float* gradient) {
    for (int m = 0; m < maps; m += lanes) {
        const int count = maps - m < lanes ? maps - m : lanes;
        for (int t = 0; t < taps; t += lanes) {
            // The last vector ends where the taps end.
            const int start = t + lanes <= taps || taps < lanes ? t : taps - lanes;
            V rows[lanes];
            for (int k = 0; k < lanes; ++k)
                rows[k] = start + k < taps ? load(from + (start + k) * width + m) : V{};
            transpose(rows);
            for (int j = 0; j < count; ++j) {
                float* to = gradient + (m + j) * taps + start;
                if (taps < lanes)
                    std::memcpy(to, &rows[j], count_of(taps) * sizeof(float));
                else
                    store(to, rows[j]);
            }
        }
    }
}

inline void one_bias_gradient(const Layer& layer, bool planar, const float* flow, float* bias) {
    const Maps& out = layer.output;
    const int groups = planar ? out.channels : vectors(out.channels);
    const int count = planar ? flow_plane(out) / lanes : out.rows * out.columns;
    const int step = planar ? lanes : groups * lanes;
    for (int m = 0; m < groups; ++m) {
        const float* from = flow + m * (planar ? flow_plane(out) : lanes);
        V sum[4] = {}; // four chains of additions, none of which waits for another
        for (int k = 0; k < count; ++k) sum[k % 4] += load(from + k * step);
        const V total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        if (planar) {
            bias[m] = sum_lanes(total);
            continue;
        }
        const int left = out.channels - m * lanes < lanes ? out.channels - m * lanes : lanes;
        std::memcpy(bias + m * lanes, &total, count_of(left) * sizeof(float));
    }
}

// Floats of the room that `one_weight_gradient` needs.
int one_taps(const Layer& layer) {
    return layer.input.channels * layer.size * layer.size * vectors(layer.output.channels) * lanes;
}

// The rows of taps of one input map, for M vectors of maps.
template <int M>
inline void one_correlate_rows(const Layer& layer, const float* input, int pixel, const float* flow,
                               int width, float* taps) {
    const int size = layer.size;
    const auto block = [&]<int R, int U>(int v, int u) {
        const float* from = input + (v * layer.input.row_stride() + u) * pixel;
        float* to = taps + (v * size + u) * width;
        if (pixel == 1)
            one_correlate_pixels<M, R, U, 1>(layer, from, pixel, flow, width, to);
        else
            one_correlate_pixels<M, R, U, 0>(layer, from, pixel, flow, width, to);
    };
    for (int v = 0; v < size;) {
        const int rows = size != taps_block ? 1 : size - v < tap_rows ? size - v : tap_rows;
        if (size == taps_block)
            with_width<tap_rows>(rows, [&]<int R>() { block.template operator()<R, taps_block>(v, 0); });
        for (int u = 0; size != taps_block && u < size; u += taps_block)
            with_width<taps_block>(size - u, [&]<int U>() { block.template operator()<1, U>(v, u); });
        v += rows;
    }
}

inline void one_correlate_maps(const Layer& layer, bool planar_input, const float* input, const float* flow,
                               float* taps) {
    const Places in = places(layer.input, planar_input);
    const int area = layer.size * layer.size, count = vectors(layer.output.channels);
    for (int m = 0; m < count; m += tap_maps)
        with_width<tap_maps>(count - m, [&]<int M>() {
            for (int i = 0; i < layer.input.channels; ++i)
                one_correlate_rows<M>(layer, input + i * in.map, in.pixel, flow + m * lanes, count * lanes,
                                      taps + i * area * count * lanes + m * lanes);
        });
}

// Overwrites both gradients.  Of a planar layer the input is planar too.
void one_weight_gradient(const Layer& layer, bool planar_input, bool planar, const float* input,
                         const float* flow, float* taps_room, float* weight_gradient,
                         float* bias_gradient) {
    const int maps = layer.output.channels, size = layer.size;
    const int taps = layer.input.channels * size * size;
    one_bias_gradient(layer, planar, flow, bias_gradient);
    if (!planar) {
        one_correlate_maps(layer, planar_input, input, flow, taps_room);
        one_unpack(taps_room, vectors(maps) * lanes, taps, maps, weight_gradient);
        return;
    }
    for (int o = 0; o < maps; o += column_maps)
        for (int i = 0; i < layer.input.channels; ++i)
            for (int v = 0; v < size; ++v)
                for (int u = 0; u < size; u += taps_block) {
                    const float* from =
                        input + i * layer.input.channel_stride() + v * layer.input.row_stride() + u;
                    float* to = weight_gradient + o * taps + (i * size + v) * size + u;
                    with_width<column_maps>(maps - o, [&]<int C>() {
                        with_width<taps_block>(size - u, [&]<int U>() {
                            one_correlate_columns<C, U>(layer, from, flow + o * flow_plane(layer.output),
                                                        to);
                        });
                    });
                }
}

// ---- convolution, gradient with respect to the input --------------------------------------------

// The flow, planar, with zeros on either side of its rows: what a row of inputs gathers from.
inline int margin_row(const Layer& layer) {
    return largest(flow_row(layer.input), flow_row(layer.output)) + 2 * (layer.size - 1);
}

// Floats of the room that `one_input_gradient` needs for it.
int one_margin(const Layer& layer) {
    return layer.output.channels * layer.output.rows * margin_row(layer) + lanes;
}

inline void one_widen(const Layer& layer, bool planar, const float* flow, float* margin) {
    const Maps& out = layer.output;
    const int row = margin_row(layer), width = vectors(out.channels) * lanes;
    std::memset(margin, 0, count_of(one_margin(layer)) * sizeof(float));
    float* to = margin + layer.size - 1;
    for (int y = 0; y < out.rows; ++y, to += row) {
        if (planar) {
            for (int o = 0; o < out.channels; ++o)
                std::memcpy(to + o * out.rows * row, flow + o * flow_plane(out) + y * flow_row(out),
                            count_of(out.columns) * sizeof(float));
            continue;
        }
        for (int m = 0; m < out.channels; m += lanes)
            for (int x = 0; x < out.columns; x += lanes) {
                V rows[lanes];
                for (int k = 0; k < lanes; ++k)
                    rows[k] =
                        x + k < out.columns ? load(flow + (y * out.columns + x + k) * width + m) : V{};
                transpose(rows);
                for (int k = 0; k < lanes && m + k < out.channels; ++k)
                    store(to + (m + k) * out.rows * row + x, rows[k]);
            }
    }
}

// P vectors of columns of row `y` of C input maps, gathered from the flow that they fed.
template <int C, int P, int K>
[[gnu::noinline]] void one_gather(const Layer& layer, const float* margin, const float* weight, int y,
                                  float* below) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = K ? K : layer.size, area = size * size, taps = in.channels * area;
    const int row = margin_row(layer), at = y + in.border;
    const int first = at - out.rows + 1 > 0 ? at - out.rows + 1 : 0;
    const int last = at < size - 1 ? at : size - 1;
    V sum[C][P] = {};
    for (int o = 0; o < out.channels; ++o)
        for (int v = first; v <= last; ++v) {
            const float* from = margin + (o * out.rows + at - v) * row + in.border + size - 1;
            const float* w = weight + o * taps + v * size;
#pragma GCC unroll 8
            for (int u = 0; u < size; ++u) {
                V d[P];
#pragma GCC unroll 4
                for (int p = 0; p < P; ++p) d[p] = load(from + p * lanes - u);
#pragma GCC unroll 8
                for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
                    for (int p = 0; p < P; ++p) sum[c][p] += d[p] * w[c * area + u];
            }
        }
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) store(below + c * flow_plane(in) + p * lanes, sum[c][p]);
}

// The flow into the inputs, without their border, planar.
void one_input_gradient(const Layer& layer, bool planar, const float* flow, const float* weight,
                        float* margin, float* below) {
    const Maps& in = layer.input;
    const int row = flow_row(in), area = layer.size * layer.size;
    one_widen(layer, planar, flow, margin);
    for (int i = 0; i < in.channels; i += planar_block)
        with_width<planar_block>(in.channels - i, [&]<int C>() {
            for (int y = 0; y < in.rows; ++y)
                for (int x = 0; x < row; x += 2 * lanes) {
                    float* to = below + i * flow_plane(in) + y * row + x;
                    const auto gather = [&]<int P>() {
                        if (layer.size == 5)
                            one_gather<C, P, 5>(layer, margin + x, weight + i * area, y, to);
                        else
                            one_gather<C, P, 0>(layer, margin + x, weight + i * area, y, to);
                    };
                    if (x + lanes < row)
                        gather.template operator()<2>();
                    else
                        gather.template operator()<1>();
                }
        });
    for (int k = 0; row > in.columns && k < in.channels * in.rows; ++k)
        for (int x = in.columns; x < row; ++x) below[k * row + x] = 0.0f;
}

// ---- between the layouts ------------------------------------------------------------------------

// From (maps, rows, columns) without borders, as a dense layer reads them.
void one_unflatten(const Maps& maps, bool planar, const float* from, float* flow) {
    const int area = maps.rows * maps.columns, width = vectors(maps.channels) * lanes;
    if (planar) {
        const int row = flow_row(maps);
        std::memset(flow, 0, count_of(flow_floats(maps, true)) * sizeof(float));
        for (int k = 0; k < maps.channels * maps.rows; ++k)
            std::memcpy(flow + k * row, from + k * maps.columns, count_of(maps.columns) * sizeof(float));
        return;
    }
    for (int c = 0; c < maps.channels; ++c)
        for (int k = 0; k < area; ++k) flow[k * width + c] = from[c * area + k];
}

// Into that order.
void one_flatten_maps(const Maps& maps, bool planar, const float* input, float* to) {
    const Places from = places(maps, planar);
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                *to++ = input[maps.at(0, y, x) * from.pixel + c * from.map];
}

// Planar flow to flow by pixels.
void one_by_pixels(const Maps& maps, const float* planar, float* flow) {
    const int width = vectors(maps.channels) * lanes;
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                flow[(y * maps.columns + x) * width + c] =
                    planar[c * flow_plane(maps) + y * flow_row(maps) + x];
}

} // namespace
