// The plain kernels: one image at a time, one loop an index, any scalar type.
//
// They are the truth that the vector kernels must equal.  Buffers are laid out as `Maps` says.
#pragma once

#include <cmath>
#include <vector>

#include "network.hpp"

namespace lenet::reference {

template <typename T>
void convolution_forward(const Layer& layer, const T* input, const T* weight, const T* bias, T* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    for (int o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                T sum = bias[o];
                for (int i = 0; i < in.channels; ++i)
                    for (int v = 0; v < size; ++v)
                        for (int u = 0; u < size; ++u)
                            sum += weight[((o * in.channels + i) * size + v) * size + u] *
                                   input[in.at(i, y + v - in.border, x + u - in.border)];
                output[out.at(o, y, x)] = sum;
            }
}

// The gradient with respect to the whole input, its border included.
template <typename T>
void convolution_input_gradient(const Layer& layer, const T* output_gradient, const T* weight,
                                T* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    for (int k = 0; k < in.padded_size(); ++k) input_gradient[k] = T(0);
    for (int o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x)
                for (int i = 0; i < in.channels; ++i)
                    for (int v = 0; v < size; ++v)
                        for (int u = 0; u < size; ++u)
                            input_gradient[in.at(i, y + v - in.border, x + u - in.border)] +=
                                weight[((o * in.channels + i) * size + v) * size + u] *
                                output_gradient[out.at(o, y, x)];
}

// Adds to `weight_gradient` and `bias_gradient`.
template <typename T>
void convolution_weight_gradient(const Layer& layer, const T* input, const T* output_gradient,
                                 T* weight_gradient, T* bias_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    for (int o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const T gradient = output_gradient[out.at(o, y, x)];
                bias_gradient[o] += gradient;
                for (int i = 0; i < in.channels; ++i)
                    for (int v = 0; v < size; ++v)
                        for (int u = 0; u < size; ++u)
                            weight_gradient[((o * in.channels + i) * size + v) * size + u] +=
                                gradient * input[in.at(i, y + v - in.border, x + u - in.border)];
            }
}

template <typename T> void pooling_forward(const Layer& layer, const T* input, T* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                T sum = T(0);
                T best = input[in.at(c, y * size, x * size)];
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        const T value = input[in.at(c, y * size + v, x * size + u)];
                        sum += value;
                        best = value > best ? value : best;
                    }
                output[out.at(c, y, x)] =
                    layer.kind == Kind::max_pooling ? best : sum * (T(1) / static_cast<T>(size * size));
            }
}

// Pixels beyond the last whole square get zero.  The first maximum gets the whole gradient.
template <typename T>
void pooling_gradient(const Layer& layer, const T* input, const T* output, const T* output_gradient,
                      T* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size;
    for (int k = 0; k < in.padded_size(); ++k) input_gradient[k] = T(0);
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const T gradient = output_gradient[out.at(c, y, x)];
                bool taken = false;
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u) {
                        const int place = in.at(c, y * size + v, x * size + u);
                        if (layer.kind == Kind::average_pooling) {
                            input_gradient[place] = gradient * (T(1) / static_cast<T>(size * size));
                        } else if (!taken && input[place] == output[out.at(c, y, x)]) {
                            input_gradient[place] = gradient;
                            taken = true;
                        }
                    }
            }
}

template <typename T>
void dense_forward(int inputs, int outputs, const T* input, const T* weight, const T* bias, T* output) {
    for (int o = 0; o < outputs; ++o) {
        T sum = bias[o];
        for (int i = 0; i < inputs; ++i) sum += weight[o * inputs + i] * input[i];
        output[o] = sum;
    }
}

template <typename T>
void dense_input_gradient(int inputs, int outputs, const T* output_gradient, const T* weight,
                          T* input_gradient) {
    for (int i = 0; i < inputs; ++i) {
        T sum = T(0);
        for (int o = 0; o < outputs; ++o) sum += weight[o * inputs + i] * output_gradient[o];
        input_gradient[i] = sum;
    }
}

// Adds to `weight_gradient` and `bias_gradient`.
template <typename T>
void dense_weight_gradient(int inputs, int outputs, const T* input, const T* output_gradient,
                           T* weight_gradient, T* bias_gradient) {
    for (int o = 0; o < outputs; ++o) {
        bias_gradient[o] += output_gradient[o];
        for (int i = 0; i < inputs; ++i) weight_gradient[o * inputs + i] += output_gradient[o] * input[i];
    }
}

template <typename T> T activate(Activation activation, T a) {
    const T amplitude = T(scaled_tanh_amplitude), slope = T(scaled_tanh_slope);
    switch (activation) {
    case Activation::relu:
        return a < T(0) ? T(0) : a;
    case Activation::leaky_relu:
        return a > T(0) ? a : T(leaky_relu_slope) * a;
    case Activation::sigmoid:
        return T(1) / (T(1) + std::exp(-a));
    case Activation::tanh:
        return std::tanh(a);
    case Activation::scaled_tanh:
        return amplitude * std::tanh(slope * a);
    case Activation::silu:
        return a / (T(1) + std::exp(-a));
    case Activation::identity:
        break;
    }
    return a;
}

// The derivative, from the activation's value `y`; where that does not tell, from what it read.
template <typename T> T activation_slope(Activation activation, T y) {
    const T amplitude = T(scaled_tanh_amplitude), slope = T(scaled_tanh_slope);
    switch (activation) {
    case Activation::relu:
        return y > T(0) ? T(1) : T(0);
    case Activation::leaky_relu:
        return y > T(0) ? T(1) : T(leaky_relu_slope);
    case Activation::sigmoid:
        return y * (T(1) - y);
    case Activation::tanh:
        return T(1) - y * y;
    case Activation::scaled_tanh:
        return slope * (amplitude - y * y / amplitude);
    case Activation::silu: {
        const T share = T(1) / (T(1) + std::exp(-y));
        return share * (T(1) + y * (T(1) - share));
    }
    case Activation::identity:
        break;
    }
    return T(1);
}

// Cross-entropy of softmax with the label's probability smoothed over the classes (Szegedy et al.
// 2016, section 7); writes its gradient with respect to the logits.
template <typename T>
T softmax_cross_entropy(int classes, const T* logits, int label, T smoothing, T* gradient) {
    T largest = logits[0], sum = T(0), loss = T(0);
    for (int c = 1; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    for (int c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
    for (int c = 0; c < classes; ++c) {
        const T target = smoothing / static_cast<T>(classes) + (c == label ? T(1) - smoothing : T(0));
        loss -= target * (logits[c] - largest - std::log(sum));
        gradient[c] = std::exp(logits[c] - largest) / sum - target;
    }
    return loss;
}

// One image forward and backward through a whole network; adds to `gradient` (parameters) and
// returns the loss.  `outputs[k]` receives layer k's activations.
template <typename T>
T run_image(const Network& network, const T* parameters, const std::uint8_t* pixels, int label, T smoothing,
            T* gradient, std::vector<std::vector<T>>& outputs) {
    const Maps& first = network.pixels();
    std::vector<T> image(static_cast<std::size_t>(first.padded_size()), T(0));
    for (int c = 0, k = 0; c < first.channels; ++c)
        for (int y = 0; y < first.rows; ++y)
            for (int x = 0; x < first.columns; ++x, ++k)
                image[static_cast<std::size_t>(first.at(c, y, x))] =
                    T(pixels[k]) * T(network.pixel_scale) + T(network.pixel_shift);
    outputs.clear();
    std::vector<std::vector<T>> told; // what tells each activation's derivative
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const T* input = k == 0 ? image.data() : outputs.back().data();
        const T *weight = parameters + layer.weight, *bias = parameters + layer.bias;
        std::vector<T> output(static_cast<std::size_t>(layer.output.padded_size()), T(0));
        if (layer.kind == Kind::convolution)
            convolution_forward(layer, input, weight, bias, output.data());
        else if (layer.kind == Kind::dense)
            dense_forward(layer.input.size(), layer.output.size(), input, weight, bias, output.data());
        else
            pooling_forward(layer, input, output.data());
        const Maps& out = layer.output;
        std::vector<T> read = output;
        for (int c = 0; c < out.channels; ++c)
            for (int y = 0; y < out.rows; ++y)
                for (int x = 0; x < out.columns; ++x) {
                    T& value = output[static_cast<std::size_t>(out.at(c, y, x))];
                    value = activate(layer.activation, value);
                }
        told.push_back(is_told_by_value(layer.activation) ? output : std::move(read));
        outputs.push_back(std::move(output));
    }
    std::vector<T> flow(static_cast<std::size_t>(network.classes()));
    const T loss =
        softmax_cross_entropy(network.classes(), outputs.back().data(), label, smoothing, flow.data());
    for (int k = network.count - 1; k >= 0; --k) {
        const Layer& layer = network.layers[k];
        const std::vector<T>& output = outputs[static_cast<std::size_t>(k)];
        const T* input = k == 0 ? image.data() : outputs[static_cast<std::size_t>(k - 1)].data();
        for (std::size_t j = 0; j < flow.size(); ++j)
            flow[j] *= activation_slope(layer.activation, told[static_cast<std::size_t>(k)][j]);
        std::vector<T> below(static_cast<std::size_t>(layer.input.padded_size()));
        T *weight = gradient + layer.weight, *bias = gradient + layer.bias;
        if (layer.kind == Kind::convolution) {
            convolution_weight_gradient(layer, input, flow.data(), weight, bias);
            convolution_input_gradient(layer, flow.data(), parameters + layer.weight, below.data());
        } else if (layer.kind == Kind::dense) {
            const int inputs = layer.input.size(), count = layer.output.size();
            dense_weight_gradient(inputs, count, input, flow.data(), weight, bias);
            dense_input_gradient(inputs, count, flow.data(), parameters + layer.weight, below.data());
        } else {
            pooling_gradient(layer, input, output.data(), flow.data(), below.data());
        }
        flow = std::move(below);
    }
    return loss;
}

} // namespace lenet::reference
