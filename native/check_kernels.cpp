// The vector kernels against the plain ones, for one instruction set.
//
// The same bits on whole numbers, and close on others.  Every lane carries an image of its own.

#include <algorithm>

#include "check_values.hpp"
#include "convolution.hpp"
#include "dense.hpp"
#include "minimal_gradient.hpp"
#include "reference.hpp"

namespace {

namespace plain = lenet::reference;

using lenet::check::Failures;

void check_convolution(const Layer& layer, bool whole, Failures& failures) {
    const Comparison compare(shape("convolution", layer), whole, failures);
    Numbers numbers(whole);
    const int taps = layer.output.channels * layer.input.channels * layer.size * layer.size;
    const std::vector<float> weight = numbers.plain(taps), bias = numbers.plain(layer.output.channels);
    const Values input = numbers.maps(layer.input), flow = numbers.maps(layer.output);
    Values output(layer.output.padded_size()), below(layer.input.padded_size());

    const int rows = layer.output.rows;
    convolution_forward(layer, 0, rows, input.lanewise.data(), weight.data(), bias.data(),
                        output.lanewise.data());
    convolution_input_gradient(layer, flow.lanewise.data(), weight.data(), below.lanewise.data());
    std::vector<V> weight_gradient(at(taps)), bias_gradient(at(layer.output.channels));
    convolution_weight_gradient(layer, 0, rows, input.lanewise.data(), flow.lanewise.data(),
                                weight_gradient.data());
    convolution_bias_gradient(layer, 0, rows, flow.lanewise.data(), bias_gradient.data());

    std::vector<float> filtered_weight(at(taps));
    Values filtered(layer.output.padded_size()), filtered_below(layer.input.padded_size());
    if (is_minimal(layer)) {
        std::vector<float> transformed(transformed_floats(layer));
        transform_weights(layer, weight.data(), transformed.data());
        std::vector<V> inputs(at(std::max(transformed_inputs(layer), band_inputs(layer))));
        std::vector<V> sums(at(std::max(component_sums(layer), band_flow(layer))));
        minimal_forward(layer, 0, rows, input.lanewise.data(), transformed.data(), bias.data(),
                        inputs.data(), sums.data(), filtered.lanewise.data());
        std::vector<V> flow_rows(at(product_rows(layer)));
        minimal_input_gradient(layer, flow.lanewise.data(), transformed.data(), inputs.data(), sums.data(),
                               flow_rows.data(), filtered_below.lanewise.data());
        std::vector<float> filter_gradient(transformed_floats(layer) + at(lanes));
        minimal_weight_gradient(layer, input.lanewise.data(), flow.lanewise.data(), inputs.data(),
                                sums.data(), filter_gradient.data());
        spread_weight_gradient(layer, filter_gradient.data(), filtered_weight.data());
    }

    // In float64: sums over all lanes are so long that float32 would be the less exact side.
    std::vector<double> plain_weight(at(taps)), plain_bias(at(layer.output.channels));
    for (std::size_t lane = 0; lane < at(lanes); ++lane) {
        plain::convolution_forward(layer, input.images[lane].data(), weight.data(), bias.data(),
                                   output.images[lane].data());
        for (float& value : output.images[lane]) value = plain::activate(layer.activation, value);
        plain::convolution_input_gradient(layer, flow.images[lane].data(), weight.data(),
                                          below.images[lane].data());
        plain::convolution_weight_gradient(layer, widened(input.images[lane]).data(),
                                           widened(flow.images[lane]).data(), plain_weight.data(),
                                           plain_bias.data());
    }
    compare("output", output.lanewise, output.images);
    if (is_minimal(layer)) {
        compare("minimal output", filtered.lanewise, output.images);
        compare("minimal input gradient", filtered_below.lanewise, below.images);
        compare.sums("minimal weight gradient", filtered_weight, plain_weight);
    }
    compare("input gradient", below.lanewise, below.images);
    compare.sums("weight gradient", lane_sums(weight_gradient), plain_weight);
    compare.sums("bias gradient", lane_sums(bias_gradient), plain_bias);
}

void check_pooling(const Layer& layer, bool whole, Failures& failures) {
    const Comparison compare(shape("pooling", layer), whole, failures);
    Numbers numbers(whole);
    const Values input = numbers.maps(layer.input), flow = numbers.maps(layer.output);
    Values output(layer.output.padded_size()), below(layer.input.padded_size());
    pooling_forward(layer, 0, layer.output.rows, input.lanewise.data(), output.lanewise.data());
    pooling_gradient(layer, Activation::identity, 0, layer.input.rows, input.lanewise.data(),
                     output.lanewise.data(), flow.lanewise.data(), below.lanewise.data());
    for (std::size_t lane = 0; lane < at(lanes); ++lane) {
        plain::pooling_forward(layer, input.images[lane].data(), output.images[lane].data());
        plain::pooling_gradient(layer, input.images[lane].data(), output.images[lane].data(),
                                flow.images[lane].data(), below.images[lane].data());
    }
    compare("output", output.lanewise, output.images);
    compare("input gradient", below.lanewise, below.images);
}

template <int G> void check_dense(int inputs, int outputs, bool whole, Failures& failures) {
    const Comparison compare("dense " + std::to_string(inputs) + " to " + std::to_string(outputs), whole,
                             failures);
    Numbers numbers(whole);
    const std::vector<float> weight = numbers.plain(inputs * outputs), bias = numbers.plain(outputs);
    std::vector<V> input(at(inputs * G)), flow(at(outputs * G)), output(at(outputs * G)),
        below(at(inputs * G));
    for (V& value : input)
        for (int lane = 0; lane < lanes; ++lane) value[lane] = numbers.next();
    for (V& value : flow)
        for (int lane = 0; lane < lanes; ++lane) value[lane] = numbers.next();
    dense_forward<G>(inputs, outputs, input.data(), weight.data(), bias.data(), output.data());
    dense_input_gradient<G>(inputs, outputs, flow.data(), weight.data(), below.data());
    std::vector<float> weight_gradient(at(inputs * outputs)), bias_gradient(at(outputs));
    const std::size_t count = at(G * lanes);
    std::vector<float> features(at(panels_of(inputs) * panel) * count), rows(at(outputs) * count);
    for (int g = 0; g < G; ++g) {
        into_panels(inputs, input.data() + g, G, count, features.data() + at(g * lanes * panel));
        for (int o = 0; o < outputs; ++o)
            store(rows.data() + at(o) * count + at(g * lanes), flow[at(o * G + g)]);
    }
    // In two parts, as two threads would.
    const int half = outputs / 2;
    for (const auto& [first, last] : {std::pair{0, half}, std::pair{half, outputs}})
        dense_weight_gradient(inputs, first, last, count, count, features.data(), rows.data(),
                              weight_gradient.data() + first * inputs, bias_gradient.data() + first);

    std::vector<float> plain_weight(at(inputs * outputs)), plain_bias(at(outputs));
    for (int g = 0; g < G; ++g) {
        std::vector<V> ours_output, ours_below;
        std::vector<std::vector<float>> plain_output, plain_below;
        for (int o = 0; o < outputs; ++o) ours_output.push_back(output[at(o * G + g)]);
        for (int i = 0; i < inputs; ++i) ours_below.push_back(below[at(i * G + g)]);
        for (int lane = 0; lane < lanes; ++lane) {
            std::vector<float> in, down, out(at(outputs)), under(at(inputs));
            for (int i = 0; i < inputs; ++i) in.push_back(input[at(i * G + g)][lane]);
            for (int o = 0; o < outputs; ++o) down.push_back(flow[at(o * G + g)][lane]);
            plain::dense_forward(inputs, outputs, in.data(), weight.data(), bias.data(), out.data());
            plain::dense_input_gradient(inputs, outputs, down.data(), weight.data(), under.data());
            plain::dense_weight_gradient(inputs, outputs, in.data(), down.data(), plain_weight.data(),
                                         plain_bias.data());
            plain_output.push_back(out);
            plain_below.push_back(under);
        }
        compare("output", ours_output, plain_output);
        compare("input gradient", ours_below, plain_below);
    }
    compare.sums("weight gradient", weight_gradient, plain_weight);
    compare.sums("bias gradient", bias_gradient, plain_bias);
}

void check_activations(Failures& failures) {
    constexpr Activation all[] = {Activation::identity, Activation::relu, Activation::leaky_relu,
                                  Activation::sigmoid,  Activation::tanh, Activation::scaled_tanh,
                                  Activation::silu};
    const Maps maps{2, 3, 5, 1};
    for (const Activation activation : all) {
        const Comparison compare("activation " + std::to_string(static_cast<int>(activation)),
                                 activation < Activation::sigmoid, failures);
        Numbers numbers(true);
        Values values = numbers.maps(maps), flow = numbers.maps(maps);
        Values kept(maps.padded_size());
        activation_forward(activation, maps, 0, maps.rows, values.lanewise.data(), kept.lanewise.data());
        const bool told = lenet::is_told_by_value(activation);
        activation_backward(activation, maps, 0, maps.rows,
                            told ? values.lanewise.data() : kept.lanewise.data(), flow.lanewise.data());
        for (std::size_t lane = 0; lane < at(lanes); ++lane)
            for (int c = 0; c < maps.channels; ++c)
                for (int y = 0; y < maps.rows; ++y)
                    for (int x = 0; x < maps.columns; ++x) {
                        float& value = values.images[lane][at(maps.at(c, y, x))];
                        const float read = value;
                        value = plain::activate(activation, value);
                        flow.images[lane][at(maps.at(c, y, x))] *=
                            plain::activation_slope(activation, told ? value : read);
                    }
        compare("value", values.lanewise, values.images);
        compare("gradient", flow.lanewise, flow.images);
    }
}

} // namespace

namespace lenet::check {

void check_kernels(Failures& failures) {
    for (const bool whole : {true, false}) {
        for (const int columns : {5, 6, 8, 9, 10, 14, 17, 28})
            for (const int outputs : {1, 2, 3, 6, 16})
                for (const int inputs : {1, 3, 6})
                    check_convolution(convolution(inputs, 7, columns, outputs, 5, 0, 0), whole, failures);
        for (const Activation immediate :
             {Activation::identity, Activation::relu, Activation::leaky_relu}) {
            Layer layer = convolution(1, 28, 28, 6, 5, 2, 0);
            layer.activation = immediate;
            check_convolution(layer, whole, failures);
        }
        check_convolution(convolution(4, 6, 9, 5, 5, 4, 1), whole, failures);
        for (const int side : {28, 32, 40})
            for (const int inputs : {1, 2, 3, 4})
                if (whole || side < 40) // more is summed there than the comparison allows for
                    check_convolution(convolution(inputs, side, side, 6, 5, side < 32 ? 2 : 0, 0), whole,
                                      failures);
        for (const int inputs : {5, 6, 7, 13}) // inputs in one block of the filters, and in several
            for (const int side : {6, 14, 22}) // rows in one band, and in several
                for (const int border : {0, 2})
                    check_convolution(convolution(inputs, side, side, 9, 5, 0, border), whole, failures);
        for (const int padding : {0, 1, 2, 3, 4})
            for (const int columns : {9, 10})
                check_convolution(convolution(3, 8, columns, 5, 5, padding, padding), whole, failures);
        for (const int size : {1, 2, 3, 4, 6, 7})
            check_convolution(convolution(2, 9, 8, 3, size, size / 2, 1), whole, failures);
        for (const Kind kind : {Kind::average_pooling, Kind::max_pooling})
            for (const int size : {1, 2, 3}) {
                Layer layer;
                layer.kind = kind;
                layer.size = size;
                layer.input = Maps{3, 7, 8, 0};
                layer.output = Maps{3, 7 / size, 8 / size, 1};
                // A third is no whole number: its sum and its share may round differently.
                check_pooling(layer, whole && size < 3, failures);
            }
        for (const int outputs : {1, 5, 10, 17, 84})
            for (const int inputs : {1, 8, 31, 120}) {
                check_dense<1>(inputs, outputs, whole, failures);
                check_dense<2>(inputs, outputs, whole, failures);
            }
    }
    check_activations(failures);
    check_single(failures);
}

} // namespace lenet::check
