// Dense layers, and their weights' gradient as a product over a whole batch.
//
// Forward and down they take a group of G tiles, stored [feature][tile]: each weight
// feeds the images of the whole group.
#pragma once

#include <cstring>

#include "network.hpp"
#include "vector.hpp"

namespace {

template <int C, int G>
inline void dense_rows(int inputs, const V* input, const float* weight, const float* bias, V* output) {
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
void dense_forward(int inputs, int outputs, const V* input, const float* weight, const float* bias,
                   V* output) {
    int o = 0;
    for (; o + dense_block <= outputs; o += dense_block)
        dense_rows<dense_block, G>(inputs, input, weight + o * inputs, bias + o, output + o * G);
    if (o < outputs)
        with_width<dense_block>(outputs - o, [&]<int C>() {
            dense_rows<C, G>(inputs, input, weight + o * inputs, bias + o, output + o * G);
        });
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
        dense_columns<dense_block, G>(inputs, outputs, output_gradient, weight + i, input_gradient + i * G);
    if (i < inputs)
        with_width<dense_block>(inputs - i, [&]<int C>() {
            dense_columns<C, G>(inputs, outputs, output_gradient, weight + i, input_gradient + i * G);
        });
}

// ---- gradient with respect to the weights -------------------------------------------------------

// Features of a batch are kept in panels: [panel][image][feature of the panel].
constexpr int panel = dense_vectors * lanes;

inline int panels_of(int inputs) { return (inputs + panel - 1) / panel; }

// The tile's features, one vector each and `step` apart, become rows of their images in the panels.
inline void into_panels(int inputs, const V* input, int step, std::size_t capacity, float* panels) {
    V rows[lanes];
    for (int i = 0; i < inputs; i += lanes) {
        for (int k = 0; k < lanes; ++k) rows[k] = i + k < inputs ? input[(i + k) * step] : V{};
        transpose(rows);
        float* to = panels + static_cast<std::size_t>(i / panel) * capacity * panel + i % panel;
        for (int k = 0; k < lanes; ++k) store(to + k * panel, rows[k]);
    }
}

// R rows of one panel's columns; only the first `columns` of them are there.
template <int R>
inline void outer_block(std::size_t count, std::size_t capacity, const float* features, const float* flow,
                        int inputs, int columns, float* gradient) {
    V sum[R][dense_vectors];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int p = 0; p < dense_vectors; ++p) sum[r][p] = V{};
    for (std::size_t n = 0; n < count; ++n) {
#pragma GCC unroll 4
        for (int p = 0; p < dense_vectors; ++p) {
            const V x = load(features + p * lanes);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) sum[r][p] += x * flow[static_cast<std::size_t>(r) * capacity + n];
        }
        features += panel;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
        for (int p = 0; p < dense_vectors; ++p) {
            float* to = gradient + r * inputs + p * lanes;
            const int left = columns - p * lanes;
            if (left >= lanes)
                store(to, sum[r][p]);
            else if (left > 0)
                std::memcpy(to, &sum[r][p], static_cast<std::size_t>(left) * sizeof(float));
        }
}

constexpr std::size_t row_images = 2;  // up to so many go row by row: sums too short for blocks
constexpr int row_floats = 64 * panel; // of a row at a time

// The gradient of weights of inputs [i, i + columns), whose features are first brought together.
inline void outer_rows(std::size_t count, std::size_t capacity, const float* features, const float* flow,
                       int inputs, int i, int columns, int outputs, float* gradient) {
    float x[row_images][row_floats];
    for (std::size_t n = 0; n < count; ++n)
        for (int k = 0; k < columns; k += panel)
            std::memcpy(x[n] + k, features + static_cast<std::size_t>(i + k) * capacity + n * panel,
                        panel * sizeof(float));
    for (int o = 0; o < outputs; ++o, flow += capacity) {
        float* to = gradient + o * inputs + i;
        const float second = count > 1 ? flow[1] : 0.0f;
        int k = 0;
        for (; k + lanes <= columns; k += lanes) {
            V sum = {}; // so that there is one way to contract: the bytes of `few_descent_columns`
            sum += load(x[0] + k) * flow[0];
            if (count > 1) sum += load(x[1] + k) * second;
            store(to + k, sum);
        }
        for (; k < columns; ++k) {
            float sum = 0.0f;
            sum += x[0][k] * flow[0];
            if (count > 1) sum += x[1][k] * second;
            to[k] = sum;
        }
    }
}

inline float sum_row(std::size_t count, const float* row) {
    V sum = {};
    std::size_t n = 0;
    for (; n + lanes <= count; n += lanes) sum += load(row + n);
    float total = sum_lanes(sum);
    for (; n < count; ++n) total += row[n];
    return total;
}

// The gradient of outputs [first, last), whose first is the first in both gradients, over `count`
// images, whose features are in panels and whose `flow` is (outputs, capacity).
void dense_weight_gradient(int inputs, int first, int last, std::size_t count, std::size_t capacity,
                           const float* features, const float* flow, float* weight_gradient,
                           float* bias_gradient) {
    flow += static_cast<std::size_t>(first) * capacity;
    last -= first;
    for (int i = 0; count <= row_images && i < inputs; i += row_floats)
        outer_rows(count, capacity, features, flow, inputs, i,
                   inputs - i < row_floats ? inputs - i : row_floats, last, weight_gradient);
    for (int i = 0; count > row_images && i < panels_of(inputs); ++i) {
        const float* from = features + static_cast<std::size_t>(i) * capacity * panel;
        const int columns = inputs - i * panel < panel ? inputs - i * panel : panel;
        for (int o = 0; o < last;) {
            const int rows = last - o < dense_rows_block ? last - o : dense_rows_block;
            with_width<dense_rows_block>(rows, [&]<int R>() {
                outer_block<R>(count, capacity, from, flow + static_cast<std::size_t>(o) * capacity, inputs,
                               columns, weight_gradient + o * inputs + i * panel);
            });
            o += rows;
        }
    }
    for (int o = 0; o < last; ++o)
        bias_gradient[o] = sum_row(count, flow + static_cast<std::size_t>(o) * capacity);
}

} // namespace
