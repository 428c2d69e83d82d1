// Dense layers of one image whose weights nobody packed, forward and backward.
#pragma once

#include "single.hpp"

namespace {

constexpr int one_rows = 8;

// The last `lanes` of `count` values at `x`, zero where those before the last whole vector are.
inline V last_vector(const float* x, int count) {
    V value = load(x + count - lanes);
    for (int lane = 0; lane < lanes - count % lanes; ++lane) value[lane] = 0.0f;
    return value;
}

// R outputs; weights as they are, (outputs, inputs).
template <int R>
[[gnu::noinline]] void one_dense_rows(int inputs, const float* input, V last, const float* weight,
                                      const float* bias, float* output) {
    V sum[R] = {};
    int i = 0;
    for (; i + lanes <= inputs; i += lanes) {
        V x = load(input + i);
        keep_in_register(x);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] += x * load(weight + r * inputs + i);
    }
    if (i < inputs && inputs >= lanes)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) sum[r] += last * load(weight + r * inputs + inputs - lanes);
    float sums[(R + lanes - 1) / lanes * lanes] = {};
    add_lane_sums<R>(sum, sums);
    for (int r = 0; r < R; ++r) {
        for (int k = 0; inputs < lanes && k < inputs; ++k) sums[r] += input[k] * weight[r * inputs + k];
        output[r] = bias[r] + sums[r];
    }
}

// A dense layer of weights that nobody packed.
void one_dense_forward(int inputs, int outputs, const float* input, const float* weight, const float* bias,
                       float* output) {
    const V last = inputs >= lanes && inputs % lanes != 0 ? last_vector(input, inputs) : V{};
    for (int o = 0; o < outputs; o += one_rows)
        with_width<one_rows>(outputs - o, [&]<int R>() {
            one_dense_rows<R>(inputs, input, last, weight + o * inputs, bias + o, output + o);
        });
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
    if (inputs < lanes) {
        for (int i = 0; i < inputs; ++i) {
            float sum = 0.0f;
            for (int o = 0; o < outputs; ++o) sum += flow[o] * weight[o * inputs + i];
            below[i] = sum;
        }
        return;
    }
    int left = vectors(inputs), blocks = (left + one_block - 1) / one_block;
    for (int i = 0; left > 0; --blocks) {
        const int count = left / blocks;
        left -= count;
        // The last vector of all ends where the inputs end.
        const int end = left > 0 ? i + (count - 1) * lanes : inputs - lanes;
        with_width<one_block>(count, [&]<int B>() {
            one_dense_columns<B>(inputs, outputs, flow, weight + i, end - i, below + i);
        });
        i += count * lanes;
    }
}

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

} // namespace
