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

// Of LeCun et al. 1998, equation 8 or 9, or softmax cross-entropy; writes its gradient with respect to
// the logits, which are minus the penalties.
template <typename T>
T loss_of(const Loss& loss, int classes, const T* logits, int label, T* gradient) {
    if (loss.kind == LossKind::cross_entropy)
        return softmax_cross_entropy(classes, logits, label, static_cast<T>(loss.smoothing), gradient);
    const bool competing = loss.kind == LossKind::map;
    T largest = -static_cast<T>(loss.rubbish);
    for (int c = 0; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    T sum = std::exp(-static_cast<T>(loss.rubbish) - largest);
    for (int c = 0; c < classes; ++c) sum += std::exp(logits[c] - largest);
    for (int c = 0; c < classes; ++c)
        gradient[c] = (competing ? std::exp(logits[c] - largest) / sum : T(0)) -
                      (c == label ? T(1) : T(0));
    return (competing ? largest + std::log(sum) : T(0)) - logits[label];
}

template <typename T>
void subsampling_forward(const Layer& layer, const T* input, const T* weight, const T* bias,
                         T* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int copies = out.channels / in.channels;
    for (int o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                T sum = T(0);
                for (int v = 0; v < layer.size; ++v)
                    for (int u = 0; u < layer.size; ++u)
                        sum += input[in.at(o / copies, y * layer.size + v, x * layer.size + u)];
                output[out.at(o, y, x)] = weight[o] * sum + bias[o];
            }
}

// The gradient of the inputs, and what is added to those of coefficients and biases.  For second
// derivatives the weights come squared, and so must be the sums: `squared`.
template <typename T>
void subsampling_gradient(const Layer& layer, const T* input, const T* output_gradient,
                          const T* weight, bool squared, T* input_gradient, T* weight_gradient,
                          T* bias_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int copies = out.channels / in.channels;
    for (int k = 0; k < in.padded_size(); ++k) input_gradient[k] = T(0);
    for (int o = 0; o < out.channels; ++o)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const T flow = output_gradient[out.at(o, y, x)];
                T sum = T(0);
                for (int v = 0; v < layer.size; ++v)
                    for (int u = 0; u < layer.size; ++u) {
                        const int place = in.at(o / copies, y * layer.size + v, x * layer.size + u);
                        sum += input[place];
                        input_gradient[place] += weight[o] * flow;
                    }
                weight_gradient[o] += flow * (squared ? sum * sum : sum);
                bias_gradient[o] += flow;
            }
}

template <typename T>
void distances_forward(const Layer& layer, const T* input, const T* centres, T* output) {
    const int inputs = layer.input.size();
    for (int c = 0; c < layer.output.channels; ++c) {
        T sum = T(0);
        for (int j = 0; j < inputs; ++j)
            sum += (input[j] - centres[c * inputs + j]) * (input[j] - centres[c * inputs + j]);
        output[c] = -static_cast<T>(layer.scale) * sum;
    }
}

template <typename T>
void distances_input_gradient(const Layer& layer, const T* input, const T* output_gradient,
                              const T* centres, T* input_gradient) {
    const int inputs = layer.input.size();
    for (int j = 0; j < inputs; ++j) {
        T sum = T(0);
        for (int c = 0; c < layer.output.channels; ++c)
            sum += output_gradient[c] * (input[j] - centres[c * inputs + j]);
        input_gradient[j] = T(-2) * static_cast<T>(layer.scale) * sum;
    }
}

// The image as the first layer reads it, every layer's activations in `outputs`, and in `told` what
// tells each activation's derivative.
template <typename T>
std::vector<T> forward_image(const Network& network, const T* parameters,
                             const std::uint8_t* pixels, std::vector<std::vector<T>>& outputs,
                             std::vector<std::vector<T>>& told) {
    const Maps& first = network.pixels();
    std::vector<T> image(static_cast<std::size_t>(first.padded_size()), T(0));
    for (int c = 0, k = 0; c < first.channels; ++c)
        for (int y = 0; y < first.rows; ++y)
            for (int x = 0; x < first.columns; ++x, ++k)
                image[static_cast<std::size_t>(first.at(c, y, x))] =
                    T(pixels[k]) * T(network.pixel_scale) + T(network.pixel_shift);
    outputs.clear();
    told.clear();
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const T* input = k == 0 ? image.data() : outputs.back().data();
        const T *weight = parameters + layer.weight, *bias = parameters + layer.bias;
        std::vector<T> output(static_cast<std::size_t>(layer.output.padded_size()), T(0));
        switch (layer.kind) {
        case Kind::convolution:
            convolution_forward(layer, input, weight, bias, output.data());
            break;
        case Kind::dense:
            dense_forward(layer.input.size(), layer.output.size(), input, weight, bias,
                          output.data());
            break;
        case Kind::subsampling:
            subsampling_forward(layer, input, weight, bias, output.data());
            break;
        case Kind::radial_basis: distances_forward(layer, input, weight, output.data()); break;
        default: pooling_forward(layer, input, output.data());
        }
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
    return image;
}

// From the flow into the outputs of layer `k`, before its activation, down to its inputs; adds to
// the gradient of its parameters.  For second derivatives `squared` says that the weights are.
template <typename T>
std::vector<T> backward_layer(const Layer& layer, const T* input, const T* output,
                              const std::vector<T>& flow, const T* parameters, bool squared,
                              T* gradient) {
    std::vector<T> below(static_cast<std::size_t>(layer.input.padded_size()));
    const T* given = parameters + layer.weight;
    T *weight = gradient + layer.weight, *bias = gradient + layer.bias;
    std::vector<T> inputs(input, input + layer.input.padded_size());
    if (squared && (layer.kind == Kind::convolution || layer.kind == Kind::dense))
        for (T& value : inputs) value *= value;
    switch (layer.kind) {
    case Kind::convolution:
        convolution_weight_gradient(layer, inputs.data(), flow.data(), weight, bias);
        convolution_input_gradient(layer, flow.data(), given, below.data());
        break;
    case Kind::dense:
        dense_weight_gradient(layer.input.size(), layer.output.size(), inputs.data(), flow.data(),
                              weight, bias);
        dense_input_gradient(layer.input.size(), layer.output.size(), flow.data(), given,
                             below.data());
        break;
    case Kind::subsampling:
        subsampling_gradient(layer, input, flow.data(), given, squared, below.data(), weight, bias);
        break;
    case Kind::radial_basis:
        distances_input_gradient(layer, input, flow.data(), given, below.data());
        break;
    default:
        pooling_gradient(layer, input, output, flow.data(), below.data());
        if (squared && layer.kind == Kind::average_pooling)
            for (T& value : below) value /= static_cast<T>(layer.size * layer.size);
    }
    return below;
}

// One image forward and backward through a whole network; adds to `gradient` (parameters) and
// returns the loss.  `outputs[k]` receives layer k's activations.
template <typename T>
T run_image(const Network& network, const T* parameters, const std::uint8_t* pixels, int label,
            const Loss& loss, T* gradient, std::vector<std::vector<T>>& outputs) {
    std::vector<std::vector<T>> told;
    const std::vector<T> image = forward_image(network, parameters, pixels, outputs, told);
    std::vector<T> flow(static_cast<std::size_t>(network.classes()));
    const T value = loss_of(loss, network.classes(), outputs.back().data(), label, flow.data());
    for (int k = network.count - 1; k >= 0; --k) {
        const Layer& layer = network.layers[k];
        const std::vector<T>& output = outputs[static_cast<std::size_t>(k)];
        const T* input = k == 0 ? image.data() : outputs[static_cast<std::size_t>(k - 1)].data();
        for (std::size_t j = 0; j < flow.size(); ++j)
            flow[j] *= activation_slope(layer.activation, told[static_cast<std::size_t>(k)][j]);
        flow = backward_layer(layer, input, output.data(), flow, parameters, false, gradient);
    }
    return value;
}

// Second derivatives of the loss with respect to what the last weights give, and the number of the
// layer that these are in.  Of radial basis units it is that of a squared distance, whatever the loss:
// the authors' code does so too, for what equation 9 adds could make it negative.
template <typename T>
std::vector<T> curvature_of_outputs(const Network& network, const std::vector<T>& last, int& layer) {
    layer = network.count - 1;
    if (network.last().kind == Kind::radial_basis)
        return std::vector<T>(static_cast<std::size_t>(network.layers[layer--].input.size()),
                              T(2) * static_cast<T>(network.last().scale));
    std::vector<T> seeds(last.size());
    softmax_cross_entropy(network.classes(), last.data(), -1, T(0), seeds.data());
    for (T& p : seeds) p *= T(1) - p;
    return seeds;
}

// Adds the second derivatives of one image, of Gauss and Newton and without what couples them (LeCun et
// al. 1998, equations 23, 25 and 27), to `curvature` (parameters).
template <typename T>
void curve_image(const Network& network, const T* parameters, const std::uint8_t* pixels,
                 T* curvature) {
    std::vector<std::vector<T>> outputs;
    std::vector<std::vector<T>> told;
    const std::vector<T> image = forward_image(network, parameters, pixels, outputs, told);
    std::vector<T> squares(parameters, parameters + network.parameters);
    for (T& weight : squares) weight *= weight;
    int k = 0;
    std::vector<T> flow = curvature_of_outputs(network, outputs.back(), k);
    for (; k >= 0; --k) {
        const Layer& layer = network.layers[k];
        const std::vector<T>& output = outputs[static_cast<std::size_t>(k)];
        const T* input = k == 0 ? image.data() : outputs[static_cast<std::size_t>(k - 1)].data();
        for (std::size_t j = 0; j < flow.size(); ++j) {
            const T slope = activation_slope(layer.activation, told[static_cast<std::size_t>(k)][j]);
            flow[j] *= slope * slope;
        }
        flow = backward_layer(layer, input, output.data(), flow, squares.data(), true, curvature);
    }
}

} // namespace lenet::reference
