// Poolings and activations over a tile of `lanes` images, one image a lane.
#pragma once

#include <cstring>

#include "network.hpp"
#include "vector.hpp"

namespace {

using lenet::Activation;
using lenet::Kind;
using lenet::Layer;
using lenet::Maps;

// ---- activations --------------------------------------------------------------------------------

inline V activate(Activation activation, V a) {
    switch (activation) {
    case Activation::relu:
        return choose(a < 0.0f, V{}, a);
    case Activation::leaky_relu: {
        const V small = a * lenet::leaky_relu_slope;
        return choose(a > small, a, small);
    }
    case Activation::sigmoid:
        return sigmoid(a);
    case Activation::tanh:
        return hyperbolic_tangent(a);
    case Activation::scaled_tanh:
        return lenet::scaled_tanh_amplitude * hyperbolic_tangent(a * lenet::scaled_tanh_slope);
    case Activation::silu:
        return a * sigmoid(a);
    case Activation::identity:
        break;
    }
    return a;
}

// From the activation's value `y`; where that does not tell, from what it read: see `is_told_by_value`.
inline V activation_gradient(Activation activation, V y, V flow) {
    constexpr float amplitude = lenet::scaled_tanh_amplitude, slope = lenet::scaled_tanh_slope;
    switch (activation) {
    case Activation::relu:
        return choose(y > 0.0f, flow, V{});
    case Activation::leaky_relu:
        return choose(y > 0.0f, flow, flow * lenet::leaky_relu_slope);
    case Activation::sigmoid:
        return flow * (y * (1.0f - y));
    case Activation::tanh:
        return flow * (1.0f - y * y);
    case Activation::scaled_tanh:
        return flow * (slope * amplitude - y * y * (slope / amplitude));
    case Activation::silu: {
        const V share = sigmoid(y);
        return flow * (share * (1.0f + y * (1.0f - share)));
    }
    case Activation::identity:
        break;
    }
    return flow;
}

// Calls body<activation>() for an activation that is immediate: cheap enough to be done while a
// convolution's sums are still in registers.  For any other it is body<identity>().
template <typename Body> inline constexpr void with_immediate(Activation activation, Body body) {
    if (activation == Activation::leaky_relu)
        body.template operator()<Activation::leaky_relu>();
    else if (activation == Activation::relu)
        body.template operator()<Activation::relu>();
    else
        body.template operator()<Activation::identity>();
}

inline constexpr bool is_immediate(Activation activation) {
    bool immediate = false;
    with_immediate(activation, [&]<Activation known>() { immediate = known == activation; });
    return immediate;
}

// Calls body<activation>() for an activation that is only known when it runs.
template <typename Body> inline void with_activation(Activation activation, Body body) {
    switch (activation) {
    case Activation::relu:
        return body.template operator()<Activation::relu>();
    case Activation::leaky_relu:
        return body.template operator()<Activation::leaky_relu>();
    case Activation::sigmoid:
        return body.template operator()<Activation::sigmoid>();
    case Activation::tanh:
        return body.template operator()<Activation::tanh>();
    case Activation::scaled_tanh:
        return body.template operator()<Activation::scaled_tanh>();
    case Activation::silu:
        return body.template operator()<Activation::silu>();
    case Activation::identity:
        return body.template operator()<Activation::identity>();
    }
}

// Rows [first, last) in place, the border untouched.  What was read goes to `kept`, if it is not null.
void activation_forward(Activation activation, const Maps& maps, int first, int last, V* values, V* kept) {
    if (activation == Activation::identity) return;
    for (int c = 0; kept != nullptr && c < maps.channels; ++c)
        for (int y = first; y < last; ++y) {
            const int start = maps.at(c, y, 0);
            std::memcpy(kept + start, values + start, static_cast<std::size_t>(maps.columns) * sizeof(V));
        }
    with_activation(activation, [&]<Activation known>() {
        for (int c = 0; c < maps.channels; ++c)
            for (int y = first; y < last; ++y) {
                V* row = values + maps.at(c, y, 0);
                for (int x = 0; x < maps.columns; ++x) row[x] = activate(known, row[x]);
            }
    });
}

// Multiplies rows [first, last) of `flow` by the activation's derivative, from its values.
void activation_backward(Activation activation, const Maps& maps, int first, int last, const V* values,
                         V* flow) {
    if (activation == Activation::identity) return;
    with_activation(activation, [&]<Activation known>() {
        for (int c = 0; c < maps.channels; ++c)
            for (int y = first; y < last; ++y) {
                const V* row = values + maps.at(c, y, 0);
                V* to = flow + maps.at(c, y, 0);
                for (int x = 0; x < maps.columns; ++x) to[x] = activation_gradient(known, row[x], to[x]);
            }
    });
}

// ---- pooling ------------------------------------------------------------------------------------

// The common size is known to the compiler; 0 is any other.
template <Kind kind, int known>
inline void pool_rows(const Layer& layer, int first, int last, const V* input, V* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = known ? known : layer.size, row = in.row_stride();
    const float share = 1.0f / static_cast<float>(size * size);
    for (int c = 0; c < out.channels; ++c)
        for (int y = first; y < last; ++y) {
            const V* from = input + in.at(c, y * size, 0);
            V* to = output + out.at(c, y, 0);
            for (int x = 0; x < out.columns; ++x) {
                V result = from[x * size];
                for (int v = 0; v < size; ++v)
                    for (int u = v == 0 ? 1 : 0; u < size; ++u) {
                        const V value = from[v * row + x * size + u];
                        // Written so that a NaN on either side stays.
                        result = kind == Kind::average_pooling ? result + value
                                                               : choose(value <= result, result, value);
                    }
                to[x] = kind == Kind::average_pooling ? result * share : result;
            }
        }
}

// Rows [first, last) of the outputs.
void pooling_forward(const Layer& layer, int first, int last, const V* input, V* output) {
    const bool average = layer.kind == Kind::average_pooling;
    if (average && layer.size == 2)
        pool_rows<Kind::average_pooling, 2>(layer, first, last, input, output);
    else if (average)
        pool_rows<Kind::average_pooling, 0>(layer, first, last, input, output);
    else if (layer.size == 2)
        pool_rows<Kind::max_pooling, 2>(layer, first, last, input, output);
    else
        pool_rows<Kind::max_pooling, 0>(layer, first, last, input, output);
}

template <Kind kind, int known, Activation activation>
inline void spread_rows(const Layer& layer, int first, int last, const V* input, const V* output,
                        const V* output_gradient, V* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = known ? known : layer.size, row = in.row_stride();
    const float share = 1.0f / static_cast<float>(size * size);
    for (int c = 0; c < out.channels; ++c)
        for (int y = first; y < last; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const int start = in.at(c, y * size, x * size);
                const V flow = output_gradient[out.at(c, y, x)];
                const V best = output[out.at(c, y, x)];
                I left_over = ~I{};
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        const int place = start + v * row + u;
                        V part = flow * share;
                        if (kind == Kind::max_pooling) {
                            const I here = (input[place] == best) & left_over;
                            part = choose(here, flow, V{});
                            left_over &= ~here;
                        }
                        input_gradient[place] = activation_gradient(activation, input[place], part);
                    }
            }
}

// Rows [first, last) of the gradient of what `activation` read to give the inputs; `first` begins a
// square.  Pixels beyond the last whole square get zero.
void pooling_gradient(const Layer& layer, Activation activation, int first, int last, const V* input,
                      const V* output, const V* output_gradient, V* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int begin = first / layer.size, end = last / layer.size;
    const auto spread = [&]<Kind kind, int size>() {
        with_activation(activation, [&]<Activation known>() {
            spread_rows<kind, size, known>(layer, begin, end, input, output, output_gradient,
                                           input_gradient);
        });
    };
    const bool average = layer.kind == Kind::average_pooling;
    if (average && layer.size == 2)
        spread.template operator()<Kind::average_pooling, 2>();
    else if (average)
        spread.template operator()<Kind::average_pooling, 0>();
    else if (layer.size == 2)
        spread.template operator()<Kind::max_pooling, 2>();
    else
        spread.template operator()<Kind::max_pooling, 0>();
    for (int c = 0; c < in.channels; ++c)
        for (int y = first; y < last; ++y) {
            const int covered = y < end * layer.size ? out.columns * layer.size : 0;
            for (int x = covered; x < in.columns; ++x) input_gradient[in.at(c, y, x)] = V{};
        }
}

} // namespace
