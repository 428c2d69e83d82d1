// One image, with its lanes over maps: the latency of a single answer.
#pragma once

#include "pointwise.hpp"
#include "tile.hpp"

namespace {

// ---- one image, lanes over maps: activations are (rows, columns, maps) ---------------------------

int vectors(int maps) { return (maps + lanes - 1) / lanes; }

// Floats of one pixel: its maps, filled up to whole vectors.
int stride(const Maps& maps, bool image) { return image ? maps.channels : vectors(maps.channels) * lanes; }

// Weights as (taps, outputs filled up to whole vectors), then the biases.
std::size_t packed_layer(const Layer& layer) {
    if (layer.kind == Kind::convolution)
        return count_of((layer.input.channels * layer.size * layer.size + 1) *
                        vectors(layer.output.channels) * lanes);
    if (layer.kind == Kind::dense)
        return count_of((layer.input.size() + 1) * vectors(layer.output.size()) * lanes);
    return 0;
}

std::size_t packed_floats(const Network& network) {
    std::size_t total = 0;
    for (int k = 0; k < network.count; ++k) total += packed_layer(network.layers[k]);
    return total;
}

void pack(const Network& network, const float* parameters, float* packed) {
    std::memset(packed, 0, packed_floats(network) * sizeof(float));
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const Maps& in = layer.input;
        const float *weight = parameters + layer.weight, *bias = parameters + layer.bias;
        if (layer.kind == Kind::average_pooling || layer.kind == Kind::max_pooling) continue;
        const bool dense = layer.kind == Kind::dense;
        const int width = vectors(dense ? layer.output.size() : layer.output.channels) * lanes;
        const int outputs = dense ? layer.output.size() : layer.output.channels;
        const int area = dense ? in.rows * in.columns : layer.size * layer.size;
        const int taps = in.channels * area;
        for (int o = 0; o < outputs; ++o) {
            for (int i = 0; i < in.channels; ++i)
                for (int a = 0; a < area; ++a)
                    packed[(a * in.channels + i) * width + o] = weight[o * taps + i * area + a];
            packed[taps * width + o] = bias[o];
        }
        packed += packed_layer(layer);
    }
}

constexpr int one_block = 12; // accumulators

// P neighbouring pixels of one vector of maps.  S is the input's stride and K the size, or 0 for one
// that is only known when it runs.
template <int P, int S, int K>
[[gnu::noinline]] void one_pixels(const Layer& layer, const float* input, int in_stride, int in_row,
                                  const float* weight, int width, V bias, float* output,
                                  int out_stride) {
    if (S > 0) in_stride = S;
    const int size = K ? K : layer.size, maps = S == 1 ? 1 : layer.input.channels;
    V sum[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sum[p] = bias;
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u) {
            const float* from = input + v * in_row + u * in_stride;
            const float* w = weight + (v * size + u) * maps * width;
            for (int i = 0; i < maps; ++i) {
                const V tap = load(w + i * width);
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) sum[p] += tap * from[p * in_stride + i];
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) store(output + p * out_stride, sum[p]);
}

void one_convolution(const Layer& layer, const float* input, bool image, const float* weight,
                     float* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int in_stride = stride(in, image), out_stride = stride(out, false);
    const int width = vectors(out.channels) * lanes, in_row = in.row_stride() * in_stride;
    const float* bias = weight + in.channels * layer.size * layer.size * width;
    for (int y = 0; y < out.rows; ++y)
        for (int m = 0; m < width; m += lanes) {
            const float* from = input + y * in_row;
            float* to = output + out.at(0, y, 0) * out_stride + m;
            int blocks = (out.columns + one_block - 1) / one_block;
            for (int x = 0; x < out.columns; --blocks) {
                const int pixels = (out.columns - x) / blocks;
                const auto block = [&]<int P, int S, int K>() {
                    one_pixels<P, S, K>(layer, from + x * in_stride, in_stride, in_row, weight + m,
                                     width, load(bias + m), to + x * out_stride, out_stride);
                };
                with_width<one_block>(pixels, [&]<int P>() {
                    if (layer.size == 5 && in_stride == 1)
                        block.template operator()<P, 1, 5>();
                    else if (layer.size == 5 && in_stride == lanes)
                        block.template operator()<P, lanes, 5>();
                    else
                        block.template operator()<P, 0, 0>();
                });
                x += pixels;
            }
        }
}

inline float choose(bool mask, float yes, float no) { return mask ? yes : no; }

// One square, of one map or of a vector of them.
template <typename Lanes>
inline void pool_one(const Layer& layer, const float* from, int in_stride, float* to) {
    const bool average = layer.kind == Kind::average_pooling;
    const float share = 1.0f / static_cast<float>(layer.size * layer.size);
    Lanes result;
    std::memcpy(&result, from, sizeof result);
    for (int v = 0; v < layer.size; ++v)
        for (int u = v == 0 ? 1 : 0; u < layer.size; ++u) {
            Lanes value;
            std::memcpy(&value, from + (v * layer.input.row_stride() + u) * in_stride, sizeof value);
            result = average ? result + value : choose(value <= result, result, value);
        }
    if (average) result = result * share;
    std::memcpy(to, &result, sizeof result);
}

void one_pooling(const Layer& layer, const float* input, bool image, float* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int in_stride = stride(in, image), out_stride = stride(out, false);
    // The picture itself has no room for whole vectors of maps.
    const auto pool = [&]<typename Lanes>(int step) {
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x)
                for (int c = 0; c < out.channels; c += step)
                    pool_one<Lanes>(
                        layer, input + in.at(0, y * layer.size, x * layer.size) * in_stride + c,
                        in_stride, output + out.at(0, y, x) * out_stride + c);
    };
    if (image)
        pool.template operator()<float>(1);
    else
        pool.template operator()<V>(lanes);
}

// B vectors of outputs at once.
template <int B>
[[gnu::noinline]] void one_dense_block(const float* input, int taps, const float* weight,
                            int width, float* output) {
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

// In place, over whole vectors of maps; the border keeps its zeros.
void one_activation(const Layer& layer, float* output) {
    const Maps& out = layer.output;
    if (layer.activation == Activation::identity) return;
    const bool dense = layer.kind == Kind::dense;
    const int rows = dense ? 1 : out.rows;
    const int step = dense ? vectors(out.size()) * lanes : stride(out, false);
    const int row = dense ? step : out.columns * step;
    with_activation(layer.activation, [&]<Activation known>() {
        for (int y = 0; y < rows; ++y) {
            float* from = output + (dense ? 0 : out.at(0, y, 0) * step);
            for (int k = 0; k < row; k += lanes) store(from + k, activate(known, load(from + k)));
        }
    });
}

// Drops the maps that fill up the last vector, so that a dense layer reads (pixels, maps).
void one_flatten(const Maps& maps, bool image, const float* input, float* output) {
    const int step = stride(maps, image);
    for (int pixel = 0; pixel < maps.rows * maps.columns; ++pixel)
        for (int c = 0; c < maps.channels; ++c) *output++ = input[pixel * step + c];
}

void infer_one(const Network& network, const float* packed, const std::uint8_t* pixels,
               float* logits, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const Maps& first = network.pixels();
    float* image = reinterpret_cast<float*>(rooms.image[0]);
    for (int c = 0, k = 0; c < first.channels; ++c)
        for (int y = 0; y < first.rows; ++y)
            for (int x = 0; x < first.columns; ++x, ++k)
                image[first.at(0, y, x) * first.channels + c] =
                    static_cast<float>(pixels[k]) * network.pixel_scale + network.pixel_shift;
    const float* input = image;
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        float* output = reinterpret_cast<float*>(k < network.spatial ? rooms.output[k][0]
                                                                     : rooms.dense[k]);
        if (layer.kind == Kind::convolution) {
            one_convolution(layer, input, k == 0, packed, output);
        } else if (layer.kind == Kind::dense) {
            if (k == network.spatial) {
                float* flat = reinterpret_cast<float*>(rooms.flat);
                one_flatten(layer.input, k == 0, input, flat);
                input = flat;
            }
            one_dense(layer, input, packed, output);
        } else {
            one_pooling(layer, input, k == 0, output);
        }
        if (layer.kind != Kind::average_pooling && layer.kind != Kind::max_pooling)
            one_activation(layer, output);
        packed += packed_layer(layer);
        input = output;
    }
    std::memcpy(logits, input, count_of(network.classes()) * sizeof(float));
}

} // namespace
