// Trained subsampling and radial basis units (1998) over a tile of `lanes` images, one image a lane.
#pragma once

#include "network.hpp"
#include "vector.hpp"

namespace {

using lenet::Layer;
using lenet::Maps;

inline V sum_of_square(const Layer& layer, const V* input, int channel, int y, int x) {
    const int size = layer.size;
    V sum = {};
    for (int v = 0; v < size; ++v)
        for (int u = 0; u < size; ++u) sum += input[layer.input.at(channel, y * size + v, x * size + u)];
    return sum;
}

inline int copies_of(const Layer& layer) { return layer.output.channels / layer.input.channels; }

void subsampling_forward(const Layer& layer, const V* input, const float* coefficient, const float* bias,
                         V* output) {
    const Maps& out = layer.output;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x)
                output[out.at(c, y, x)] =
                    sum_of_square(layer, input, c / copies_of(layer), y, x) * coefficient[c] + bias[c];
}

// Adds, lane by lane, to the gradients of coefficients and biases.
void subsampling_weight_gradient(const Layer& layer, const V* input, const V* flow, V* coefficient,
                                 V* bias) {
    const Maps& out = layer.output;
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                const V here = flow[out.at(c, y, x)];
                coefficient[c] += here * sum_of_square(layer, input, c / copies_of(layer), y, x);
                bias[c] += here;
            }
}

// Pixels beyond the last whole square get zero.
void subsampling_input_gradient(const Layer& layer, const V* flow, const float* coefficient,
                                V* input_gradient) {
    const Maps &in = layer.input, &out = layer.output;
    const int size = layer.size, copies = copies_of(layer);
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < in.rows; ++y)
            for (int x = 0; x < in.columns; ++x) input_gradient[in.at(c, y, x)] = V{};
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < out.rows; ++y)
            for (int x = 0; x < out.columns; ++x) {
                V sum = {};
                for (int o = c * copies; o < (c + 1) * copies; ++o)
                    sum += flow[out.at(o, y, x)] * coefficient[o];
                for (int v = 0; v < size; ++v)
                    for (int u = 0; u < size; ++u)
                        input_gradient[in.at(c, y * size + v, x * size + u)] = sum;
            }
}

// Distances with a minus sign, of a group of G tiles, stored [feature][tile].
template <int G>
void distances_forward(const Layer& layer, const V* input, const float* centres, V* output) {
    const int inputs = layer.input.size();
    for (int c = 0; c < layer.output.channels; ++c)
        for (int g = 0; g < G; ++g) {
            V sum = {};
            for (int j = 0; j < inputs; ++j) {
                const V apart = input[j * G + g] - centres[c * inputs + j];
                sum += apart * apart;
            }
            output[c * G + g] = sum * -layer.scale;
        }
}

template <int G>
void distances_input_gradient(const Layer& layer, const V* input, const V* flow, const float* centres,
                              V* input_gradient) {
    const int inputs = layer.input.size(), classes = layer.output.channels;
    for (int j = 0; j < inputs; ++j)
        for (int g = 0; g < G; ++g) {
            V sum = {};
            for (int c = 0; c < classes; ++c)
                sum += (input[j * G + g] - centres[c * inputs + j]) * flow[c * G + g];
            input_gradient[j * G + g] = sum * (-2.0f * layer.scale);
        }
}

} // namespace
