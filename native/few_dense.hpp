// Dense layers of a few images, whose weights nobody packed: each weight is read once for all of them.
#pragma once

#include "single.hpp"

namespace {

constexpr int few_rows = 8;                        // sums of a block of outputs and images
constexpr int few_columns = lanes == 16 ? 25 : lanes == 8 ? 10 : 6; // of a block of vectors of inputs and images
static_assert(few_columns / few_images > 1, "vectors that overlap must be of one block");

// ---- forward ------------------------------------------------------------------------------------

// The last `lanes` of `count` values at `x`, zero where those before the last whole vector are.
inline V last_vector(const float* x, int count) {
    V value = load(x + count - lanes);
    for (int lane = 0; lane < lanes - count % lanes; ++lane) value[lane] = 0.0f;
    return value;
}

// R outputs of N images, from output `o` on; weights as they are, (outputs, inputs).  `last` has the last
// inputs where they fill no vector.
template <int N, int R>
[[gnu::noinline]] void few_dense_rows(int inputs, const float* const* input, const V* last,
                                      const float* weight, const float* bias, int o, float* const* output) {
    V sum[R * N] = {};
    weight += o * inputs;
    for (int i = 0; i < inputs; i += lanes) {
        const bool whole = i + lanes <= inputs;
        const int place = whole ? i : inputs - lanes;
        V x[N];
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) {
            x[n] = whole ? load(input[n] + place) : last[n];
            keep_in_register(x[n]);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const V w = load(weight + r * inputs + place);
#pragma GCC unroll 16
            for (int n = 0; n < N; ++n) sum[r * N + n] += x[n] * w;
        }
    }
    float sums[(R * N + lanes - 1) / lanes * lanes] = {};
    add_lane_sums<R * N>(sum, sums);
    for (int r = 0; r < R; ++r)
        for (int n = 0; n < N; ++n) output[n][o + r] = bias[o + r] + sums[r * N + n];
}

// A dense layer of `count` images, `few_images` at most.
void few_dense_forward(int inputs, int outputs, int count, const float* const* input, const float* weight,
                       const float* bias, float* const* output) {
    for (int n = 0; inputs < lanes && n < count; ++n)
        for (int o = 0; o < outputs; ++o) {
            float sum = 0.0f;
            for (int i = 0; i < inputs; ++i) sum += input[n][i] * weight[o * inputs + i];
            output[n][o] = bias[o] + sum;
        }
    if (inputs < lanes) return;
    V last[few_images] = {};
    for (int n = 0; n < count && inputs % lanes != 0; ++n) last[n] = last_vector(input[n], inputs);
    with_width<few_images>(count, [&]<int N>() {
        constexpr int rows = N < few_rows ? few_rows / N : 1;
        int o = 0;
        for (; o + rows <= outputs; o += rows)
            few_dense_rows<N, rows>(inputs, input, last, weight, bias, o, output);
        for (; o < outputs; ++o) few_dense_rows<N, 1>(inputs, input, last, weight, bias, o, output);
    });
}

// ---- backward -----------------------------------------------------------------------------------

// Calls body<B>(i, last) for blocks of at most `most` vectors of inputs, the first of the B at `i` and the
// last of them `last` floats behind it.  The last of all ends where the inputs end, in the block of what it
// overlaps, if a block has two.
template <int most, typename Body> inline void for_column_blocks(int inputs, Body body) {
    int left = vectors(inputs), blocks = (left + most - 1) / most;
    for (int i = 0; left > 0; --blocks) {
        const int count = left / blocks;
        left -= count;
        const int end = left > 0 ? i + (count - 1) * lanes : inputs - lanes;
        with_width<most>(count, [&]<int B>() { body.template operator()<B>(i, end - i); });
        i += count * lanes;
    }
}

// B vectors of inputs, the last of them `last` floats behind the first.
template <int B>
[[gnu::noinline]] void one_dense_columns(int inputs, int outputs, const float* flow, const float* weight,
                                         int last, float* below) {
    V sum[B] = {};
    for (int o = 0; o < outputs; ++o) {
        const V d = splat(flow[o]);
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b)
            sum[b] += d * load(weight + o * inputs + (b == B - 1 ? last : b * lanes));
    }
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) store(below + (b == B - 1 ? last : b * lanes), sum[b]);
}

void one_dense_input_gradient(int inputs, int outputs, const float* flow, const float* weight,
                              float* below) {
    for (int i = 0; inputs < lanes && i < inputs; ++i) {
        below[i] = 0.0f;
        for (int o = 0; o < outputs; ++o) below[i] += flow[o] * weight[o * inputs + i];
    }
    if (inputs < lanes) return;
    for_column_blocks<one_block>(inputs, [&]<int B>(int i, int last) {
        one_dense_columns<B>(inputs, outputs, flow, weight + i, last, below + i);
    });
}

// Overwrites both gradients.
void one_dense_weight_gradient(int inputs, int outputs, const float* input, const float* flow,
                               float* weight_gradient, float* bias_gradient) {
    std::memcpy(bias_gradient, flow, count_of(outputs) * sizeof(float));
    for (int o = 0; o < outputs; ++o) {
        const V d = splat(flow[o]);
        float* to = weight_gradient + o * inputs;
        int i = 0;
        for (; i + lanes <= inputs; i += lanes) store(to + i, d * load(input + i));
        for (; i < inputs; ++i) to[i] = flow[o] * input[i];
    }
}

// The flow into B vectors of inputs of N images, and plain SGD of the weights that it reads, for all
// outputs.  The first vector is at `at`, the last `last` floats behind it; where two overlap they write
// the same.
template <int N, int B>
[[gnu::noinline]] void few_descent_columns(int inputs, int outputs, int at, int last,
                                           const float* const* input, const float* const* flow, float rate,
                                           float* weight, float* const* below) {
    const float* x[N];
    for (int n = 0; n < N; ++n) x[n] = input[n] + at;
    V sum[N][B] = {};
    float* row = weight + at;
    for (int o = 0; o < outputs; ++o, row += inputs) {
        V end = load(row + last);
        keep_in_register(end); // before what overlaps it is written
        V d[N];
#pragma GCC unroll 16
        for (int n = 0; n < N; ++n) d[n] = splat(flow[n][o]);
#pragma GCC unroll 32
        for (int b = 0; b < B; ++b) {
            const int place = b == B - 1 ? last : b * lanes;
            const V w = b == B - 1 ? end : load(row + place);
            V gradient = {}; // so that there is one way to contract: the bytes of `outer_rows`
#pragma GCC unroll 16
            for (int n = 0; n < N; ++n) {
                sum[n][b] += d[n] * w;
                gradient += load(x[n] + place) * d[n];
            }
            store(row + place, w - rate * gradient);
        }
    }
#pragma GCC unroll 16
    for (int n = 0; n < N; ++n)
#pragma GCC unroll 32
        for (int b = 0; b < B; ++b) store(below[n] + at + (b == B - 1 ? last : b * lanes), sum[n][b]);
}

// Fewer inputs than fill a vector.
inline void few_descent_values(int inputs, int outputs, int count, const float* const* input,
                               const float* const* flow, float rate, float* weight, float* const* below) {
    for (int n = 0; n < count; ++n) one_dense_input_gradient(inputs, outputs, flow[n], weight, below[n]);
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i) {
            float gradient = 0.0f;
            for (int n = 0; n < count; ++n) gradient += input[n][i] * flow[n][o];
            weight[o * inputs + i] -= rate * gradient;
        }
}

// The flow into the inputs of `count` images and plain SGD of both: in one pass over the weights the bytes
// of `one_dense_input_gradient`, of `dense_weight_gradient` and of an update.
void few_dense_descent(int inputs, int outputs, int count, const float* const* input,
                       const float* const* flow, float rate, float* weight, float* bias,
                       float* const* below) {
    for (int o = 0; o < outputs; ++o) {
        float gradient = 0.0f;
        for (int n = 0; n < count; ++n) gradient += flow[n][o];
        bias[o] -= rate * gradient;
    }
    if (inputs < lanes)
        return few_descent_values(inputs, outputs, count, input, flow, rate, weight, below);
    with_width<few_images>(count, [&]<int N>() {
        for_column_blocks<few_columns / N>(inputs, [&]<int B>(int i, int last) {
            few_descent_columns<N, B>(inputs, outputs, i, last, input, flow, rate, weight, below);
        });
    });
}

// ---- activations --------------------------------------------------------------------------------

// In place, whole vectors.  What was read goes to `kept`, if it is not null.
void one_flat_activation(const Layer& layer, float* output, float* kept) {
    if (kept != nullptr) std::memcpy(kept, output, count_of(layer.output.size()) * sizeof(float));
    with_activation(layer.activation, [&]<Activation known>() {
        for (int k = 0; k < layer.output.size(); k += lanes)
            store(output + k, activate(known, load(output + k)));
    });
}

void one_flat_activation_gradient(const Layer& layer, const float* output, float* flow) {
    with_activation(layer.activation, [&]<Activation known>() {
        for (int k = 0; k < layer.output.size(); k += lanes)
            store(flow + k, activation_gradient(known, load(output + k), load(flow + k)));
    });
}

} // namespace
