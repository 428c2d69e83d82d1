// One image, with its lanes over maps: the latency of a single answer.
#pragma once

#include "pointwise.hpp"
#include "tile.hpp"

namespace {

// ---- places -------------------------------------------------------------------------------------

// Activations are (maps, rows, columns), as the picture is, up to the first convolution that has
// maps enough to fill a vector; from there on (rows, columns, maps), the maps filled up to whole
// vectors.  `pixel` and `map` are the floats from one to the next.
struct Places {
    int pixel;
    int map;
};

int vectors(int maps) { return (maps + lanes - 1) / lanes; }

Places places(const Maps& maps, bool planar) {
    return planar ? Places{1, maps.channel_stride()} : Places{vectors(maps.channels) * lanes, 1};
}

// The first layers whose outputs are planar.
int planar_layers(const Network& network) {
    int k = 0;
    for (; k < network.spatial; ++k) {
        const Maps& out = network.layers[k].output;
        if (network.layers[k].kind == Kind::convolution &&
            (out.channels > planar_maps || out.columns < lanes))
            break;
    }
    return k;
}

// Weights as (taps, outputs filled up to whole vectors), or as they are for planar outputs; then the
// biases.
std::size_t packed_layer(const Layer& layer, bool planar) {
    if (layer.kind != Kind::convolution && layer.kind != Kind::dense) return 0;
    const bool dense = layer.kind == Kind::dense;
    const int outputs = layer.output.channels;
    const int taps = dense ? layer.input.size() : layer.input.channels * layer.size * layer.size;
    return count_of((taps + 1) * (planar ? outputs : vectors(outputs) * lanes));
}

std::size_t packed_floats(const Network& network) {
    std::size_t total = 0;
    const int planar = planar_layers(network);
    for (int k = 0; k < network.count; ++k) total += packed_layer(network.layers[k], k < planar);
    return total;
}

// A vector of `count` floats, zero beyond them.
inline V load_few(const float* from, int count) {
    if (count >= lanes) return load(from);
    V few = {};
    std::memcpy(&few, from, count_of(count) * sizeof(float));
    return few;
}

// Weights of a convolution: vectors of maps, one for each tap of (size, size, inputs).
void pack_maps(const Layer& layer, const float* weight, int width, float* packed) {
    const int area = layer.size * layer.size, inputs = layer.input.channels, taps = inputs * area;
    for (int m = 0; m < layer.output.channels; m += lanes)
        for (int t = 0; t < taps; t += lanes) {
            // The last vector ends where the taps end.
            const int start = t + lanes <= taps || taps < lanes ? t : taps - lanes;
            V rows[lanes];
            for (int k = 0; k < lanes; ++k)
                rows[k] = m + k < layer.output.channels
                              ? load_few(weight + (m + k) * taps + start, taps - start)
                              : V{};
            transpose(rows);
            int input = start / area, tap = start % area;
            for (int k = 0; k < lanes && start + k < taps; ++k) {
                store(packed + (tap * inputs + input) * width + m, rows[k]);
                if (++tap == area) tap = 0, ++input;
            }
        }
}

void pack_layer(const Layer& layer, bool planar, const float* parameters, float* packed) {
    if (layer.kind == Kind::average_pooling || layer.kind == Kind::max_pooling) return;
    const Maps& in = layer.input;
    const float *weight = parameters + layer.weight, *bias = parameters + layer.bias;
    if (planar) { // the biases lie behind the weights
        std::memcpy(packed, weight, packed_layer(layer, true) * sizeof(float));
        return;
    }
    const bool dense = layer.kind == Kind::dense;
    const int outputs = dense ? layer.output.size() : layer.output.channels;
    const int width = vectors(outputs) * lanes, area = dense ? in.rows * in.columns : layer.size * layer.size;
    const int taps = in.channels * area;
    if (!dense) pack_maps(layer, weight, width, packed);
    for (int o = 0; dense && o < outputs; ++o)
        for (int i = 0; i < in.channels; ++i)
            for (int a = 0; a < area; ++a)
                packed[(a * in.channels + i) * width + o] = weight[o * taps + i * area + a];
    std::memcpy(packed + taps * width, bias, count_of(outputs) * sizeof(float));
}

void pack(const Network& network, const float* parameters, float* packed) {
    const int planar = planar_layers(network);
    std::memset(packed, 0, packed_floats(network) * sizeof(float));
    for (int k = 0; k < network.count; ++k) {
        pack_layer(network.layers[k], k < planar, parameters, packed);
        packed += packed_layer(network.layers[k], k < planar);
    }
}

constexpr int one_block = 12; // accumulators

// ---- lanes over columns -------------------------------------------------------------------------

template <Activation activation, int C, int P>
inline void store_rows(const V (&sum)[C][P], int plane, int step, float* output) {
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) store(output + c * plane + p * step, activate(activation, sum[c][p]));
}

// C maps and P vectors of columns, `step` apart, of one row.  K is the size, or 0 for one that is
// only known when it runs.
template <int C, int P, int K>
[[gnu::noinline]] void one_columns(const Layer& layer, const float* input, const float* weight,
                                   const float* bias, int step, float* output) {
    const int size = K ? K : layer.size, channels = layer.input.channels;
    const int taps = channels * size * size, plane = layer.output.channel_stride();
    V sum[C][P];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sum[c][p] = splat(bias[c]);
    for (int i = 0; i < channels; ++i)
        for (int v = 0; v < size; ++v) {
            const float* from = input + i * layer.input.channel_stride() + v * layer.input.row_stride();
            const float* w = weight + (i * size + v) * size;
#pragma GCC unroll 8
            for (int u = 0; u < size; ++u) {
                V x[P];
#pragma GCC unroll 4
                for (int p = 0; p < P; ++p) x[p] = load(from + p * step + u);
#pragma GCC unroll 16
                for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
                    for (int p = 0; p < P; ++p) sum[c][p] += x[p] * w[c * taps + u];
            }
        }
    with_immediate(layer.activation,
                   [&]<Activation known>() { store_rows<known>(sum, plane, step, output); });
}

// Planar, with the layer's activation where that is immediate.  The last vector of a row ends where
// the row ends, and does again what the one before it did.
void one_planar_convolution(const Layer& layer, const float* input, const float* weight, float* output) {
    const Maps& out = layer.output;
    const int taps = layer.input.channels * layer.size * layer.size;
    const float* bias = weight + out.channels * taps;
    const auto columns = [&]<int C, int K>(int o, int y) {
        const float* from = input + y * layer.input.row_stride();
        float* to = output + out.at(o, y, 0);
        for (int x = 0; x < out.columns; x += 2 * lanes) {
            const int last = out.columns - lanes;
            if (x < last)
                one_columns<C, 2, K>(layer, from + x, weight + o * taps, bias + o,
                                     (x + lanes < last ? x + lanes : last) - x, to + x);
            else
                one_columns<C, 1, K>(layer, from + last, weight + o * taps, bias + o, 0, to + last);
        }
    };
    for (int y = 0; y < out.rows; ++y)
        for (int o = 0; o < out.channels; o += planar_block)
            with_width<planar_block>(out.channels - o, [&]<int C>() {
                if (layer.size == 5)
                    columns.template operator()<C, 5>(o, y);
                else
                    columns.template operator()<C, 0>(o, y);
            });
}

// ---- lanes over maps ----------------------------------------------------------------------------

// P neighbouring pixels of M vectors of maps.  S is the floats between pixels of the input and K the
// size, or 0 for one that is only known when it runs.
template <int P, int M, int S, int K>
[[gnu::noinline]] void one_pixels(const Layer& layer, const float* input, Places in, const float* weight,
                                  int width, const float* bias, float* output) {
    if (S > 0) in.pixel = S;
    if (S > 1) in.map = 1;
    const int size = K ? K : layer.size, maps = layer.input.channels;
    V sum[P][M];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) sum[p][m] = load(bias + m * lanes);
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u) {
            const float* from = input + (v * layer.input.row_stride() + u) * in.pixel;
            const float* w = weight + (v * size + u) * maps * width;
            for (int i = 0; i < maps; ++i) {
                V tap[M];
#pragma GCC unroll 4
                for (int m = 0; m < M; ++m) tap[m] = load(w + i * width + m * lanes);
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) {
                    const float x = from[p * in.pixel + i * in.map];
#pragma GCC unroll 4
                    for (int m = 0; m < M; ++m) sum[p][m] += tap[m] * x;
                }
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
        for (int m = 0; m < M; ++m) store(output + p * width + m * lanes, sum[p][m]);
}

// One row of M vectors of maps.
template <int M>
inline void one_pixel_row(const Layer& layer, const float* from, Places in, const float* weight, int width,
                          const float* bias, float* to) {
    constexpr int most = one_block / M;
    const int columns = layer.output.columns;
    int blocks = (columns + most - 1) / most;
    for (int x = 0; x < columns; --blocks) {
        const int pixels = (columns - x) / blocks;
        const auto block = [&]<int P, int S, int K>() {
            one_pixels<P, M, S, K>(layer, from + x * in.pixel, in, weight, width, bias, to + x * width);
        };
        with_width<most>(pixels, [&]<int P>() {
            if (layer.size == 5 && in.pixel == 1)
                block.template operator()<P, 1, 5>();
            else if (layer.size == 5 && in.pixel == lanes)
                block.template operator()<P, lanes, 5>();
            else
                block.template operator()<P, 0, 0>();
        });
        x += pixels;
    }
}

void one_convolution(const Layer& layer, const float* input, bool planar, const float* weight,
                     float* output) {
    const Maps& out = layer.output;
    const Places in = places(layer.input, planar);
    const int count = vectors(out.channels), width = count * lanes;
    const float* bias = weight + layer.input.channels * layer.size * layer.size * width;
    for (int y = 0; y < out.rows; ++y)
        for (int m = 0; m < count; m += tap_maps)
            with_width<tap_maps>(count - m, [&]<int M>() {
                one_pixel_row<M>(layer, input + y * layer.input.row_stride() * in.pixel, in,
                                 weight + m * lanes, width, bias + m * lanes,
                                 output + out.at(0, y, 0) * width + m * lanes);
            });
}

// ---- pooling ------------------------------------------------------------------------------------

// The average's sum or the maximum of what has been seen and one more.
template <typename Lanes> inline Lanes pool_step(Kind kind, Lanes seen, Lanes value) {
    // Written so that a NaN on either side stays.
    return kind == Kind::average_pooling ? seen + value : value <= seen ? seen : value;
}

// One square, of one map or of a vector of them.
template <typename Lanes>
inline void pool_one(const Layer& layer, const float* from, int pixel, float* to) {
    Lanes result;
    std::memcpy(&result, from, sizeof result);
    for (int v = 0; v < layer.size; ++v)
        for (int u = v == 0 ? 1 : 0; u < layer.size; ++u) {
            Lanes value;
            std::memcpy(&value, from + (v * layer.input.row_stride() + u) * pixel, sizeof value);
            result = pool_step(layer.kind, result, value);
        }
    if (layer.kind == Kind::average_pooling)
        result = result * (1.0f / static_cast<float>(layer.size * layer.size));
    std::memcpy(to, &result, sizeof result);
}

// A vector of neighbouring squares of 2x2 of one map.
inline V pool_pairs(Kind kind, const float* from, int row) {
    V even[2], odd[2];
    for (int v = 0; v < 2; ++v) {
        const V low = load(from + v * row), high = load(from + v * row + lanes);
        even[v] = zip(low, high, EvenLanes{});
        odd[v] = zip(low, high, OddLanes{});
    }
    V result = pool_step(kind, pool_step(kind, even[0], odd[0]), even[1]);
    result = pool_step(kind, result, odd[1]);
    return kind == Kind::average_pooling ? result * 0.25f : result;
}

// One row of planar outputs; where no border follows, the last vector reaches into what comes next.
inline void pool_planar_row(const Layer& layer, const float* from, float* to) {
    const int columns = layer.output.columns;
    if (layer.size != 2) {
        for (int x = 0; x < columns; ++x) pool_one<float>(layer, from + x * layer.size, 1, to + x);
        return;
    }
    for (int x = 0; x < columns; x += lanes) {
        const V result = pool_pairs(layer.kind, from + 2 * x, layer.input.row_stride());
        if (layer.output.border == 0 || x + lanes <= columns)
            store(to + x, result);
        else
            std::memcpy(to + x, &result, count_of(columns - x) * sizeof(float));
    }
}

void one_pooling(const Layer& layer, const float* input, bool planar, float* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int pixel = places(in, false).pixel;
    if (planar) {
        for (int c = 0; c < out.channels; ++c)
            for (int y = 0; y < out.rows; ++y)
                pool_planar_row(layer, input + in.at(c, y * layer.size, 0), output + out.at(c, y, 0));
        return;
    }
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; ++x)
            for (int c = 0; c < out.channels; c += lanes)
                pool_one<V>(layer, input + in.at(0, y * layer.size, x * layer.size) * pixel + c, pixel,
                            output + out.at(0, y, x) * pixel + c);
}

// ---- dense --------------------------------------------------------------------------------------

// B vectors of outputs at once.
template <int B>
[[gnu::noinline]] void one_dense_block(const float* input, int taps, const float* weight, int width,
                                       float* output) {
    V sum[B];
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) sum[b] = load(weight + taps * width + b * lanes);
    for (int i = 0; i < taps; ++i) {
        const V x = splat(input[i]);
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b) sum[b] += x * load(weight + i * width + b * lanes);
    }
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) store(output + b * lanes, sum[b]);
}

void one_dense(const Layer& layer, const float* input, const float* weight, float* output) {
    const int taps = layer.input.size(), width = vectors(layer.output.size()) * lanes;
    const int total = width / lanes;
    int blocks = (total + one_block - 1) / one_block;
    for (int m = 0; m < total; --blocks) {
        const int count = (total - m) / blocks;
        with_width<one_block>(count, [&]<int B>() {
            one_dense_block<B>(input, taps, weight + m * lanes, width, output + m * lanes);
        });
        m += count;
    }
}

// Zeros around every map, or around all of them where they lie side by side.
void clear_border(const Maps& maps, bool planar, float* values) {
    const int pixel = places(maps, planar).pixel, row = maps.row_stride() * pixel;
    const int side = maps.border * pixel;
    for (int c = 0; maps.border > 0 && c < (planar ? maps.channels : 1); ++c)
        for (int y = -maps.border; y < maps.rows + maps.border; ++y) {
            float* from = values + maps.at(c, y, -maps.border) * pixel;
            const bool inside = y >= 0 && y < maps.rows;
            std::memset(from, 0, count_of(inside ? side : row) * sizeof(float));
            if (inside) std::memset(from + row - side, 0, count_of(side) * sizeof(float));
        }
}

// In place, in whole vectors, the last of which may reach behind the maps; the border keeps its zeros.  What
// was read goes to `kept`, if it is not null.
void one_activation(const Layer& layer, bool planar, float* output, float* kept = nullptr) {
    if (layer.activation == Activation::identity) return;
    const Maps& out = layer.output;
    const int floats = out.channel_stride() * (planar ? out.channels : places(out, false).pixel);
    if (kept != nullptr) std::memcpy(kept, output, count_of(floats) * sizeof(float));
    with_activation(layer.activation, [&]<Activation known>() {
        for (int k = 0; k < floats; k += lanes) store(output + k, activate(known, load(output + k)));
    });
    clear_border(out, planar, output);
}

// What a dense layer reads: (pixels, maps), without what fills up a vector of maps.
void one_flatten(const Maps& maps, bool planar, const float* input, float* output) {
    const Places from = places(maps, planar);
    for (int pixel = 0; pixel < maps.rows * maps.columns; ++pixel)
        for (int c = 0; c < maps.channels; ++c) *output++ = input[pixel * from.pixel + c * from.map];
}

void load_one(const Network& network, const std::uint8_t* pixels, float* image) {
    const Maps& maps = network.pixels();
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y, pixels += maps.columns) {
            float* row = image + maps.at(c, y, 0);
            // The last vector of a row ends where the row ends.
            for (int x = 0; maps.columns >= lanes && x < maps.columns; x += lanes) {
                const int start = x + lanes <= maps.columns ? x : maps.columns - lanes;
                store(row + start, to_floats(pixels + start) * network.pixel_scale + network.pixel_shift);
            }
            for (int x = 0; maps.columns < lanes && x < maps.columns; ++x)
                row[x] = static_cast<float>(pixels[x]) * network.pixel_scale + network.pixel_shift;
        }
}

// A spatial layer with its activation.
void one_spatial(const Layer& layer, bool planar_input, bool planar, const float* input,
                 const float* packed, float* output, float* kept = nullptr) {
    if (layer.kind != Kind::convolution) return one_pooling(layer, input, planar_input, output);
    if (planar)
        one_planar_convolution(layer, input, packed, output);
    else
        one_convolution(layer, input, planar_input, packed, output);
    if (!planar || !is_immediate(layer.activation)) one_activation(layer, planar, output, kept);
}

void infer_one(const Network& network, const float* packed, const std::uint8_t* pixels, float* logits,
               void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    float* image = reinterpret_cast<float*>(rooms.image[0]);
    load_one(network, pixels, image);
    const float* input = image;
    const int planar_count = planar_layers(network);
    bool planar = true; // the input of layer k
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        float* output = reinterpret_cast<float*>(k < network.spatial ? rooms.output[k][0] : rooms.dense[k]);
        const bool stays = k < planar_count;
        if (k < network.spatial) {
            one_spatial(layer, planar, stays, input, packed, output);
        } else {
            if (k == network.spatial) {
                float* flat = reinterpret_cast<float*>(rooms.flat);
                one_flatten(layer.input, planar, input, flat);
                input = flat;
            }
            one_dense(layer, input, packed, output);
            one_activation(layer, stays, output);
        }
        packed += packed_layer(layer, stays);
        planar = stays;
        input = output;
    }
    std::memcpy(logits, input, count_of(network.classes()) * sizeof(float));
}

} // namespace
