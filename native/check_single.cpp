// The kernels for one image and for a few against the plain ones, for one instruction set.

// The headers bring more than is asked for here.
#pragma GCC diagnostic ignored "-Wunused-function"

#include "check_values.hpp"
#include "dense.hpp"
#include "few_dense.hpp"
#include "reference.hpp"
#include "single_gradient.hpp"

namespace {

namespace plain = lenet::reference;

using lenet::check::Failures;

// Buffers that a vector may be read from at any place.
std::vector<float> room(int floats) { return std::vector<float>(at(floats + 4 * lanes)); }

// Numbers in the maps' own layout, with zeros on the border.
std::vector<float> draw(Numbers& numbers, const Maps& maps) {
    std::vector<float> values(at(maps.padded_size()));
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x) values[at(maps.at(c, y, x))] = numbers.next();
    return values;
}

// The activations as one image's kernels keep them.
std::vector<float> laid_out(const Maps& maps, bool planar, const std::vector<float>& values) {
    const Places to = places(maps, planar);
    std::vector<float> result = room(maps.channel_stride() * (planar ? maps.channels : to.pixel));
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                result[at(maps.at(0, y, x) * to.pixel + c * to.map)] = values[at(maps.at(c, y, x))];
    return result;
}

int flow_place(const Maps& maps, bool planar, int c, int y, int x) {
    return planar ? c * flow_plane(maps) + y * flow_row(maps) + x
                  : (y * maps.columns + x) * vectors(maps.channels) * lanes + c;
}

// The flow as one image's kernels keep it, and back; what is not there is `rest`.
std::vector<float> to_flow(const Maps& maps, bool planar, const std::vector<float>& values) {
    std::vector<float> flow = room(flow_floats(maps, planar));
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                flow[at(flow_place(maps, planar, c, y, x))] = values[at(maps.at(c, y, x))];
    return flow;
}

std::vector<float> from_flow(const Maps& maps, bool planar, const std::vector<float>& flow) {
    std::vector<float> values(at(maps.padded_size()));
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                values[at(maps.at(c, y, x))] = flow[at(flow_place(maps, planar, c, y, x))];
    return values;
}

// Without its border, which no layer below has a gradient for.
std::vector<float> inside(const Maps& maps, std::vector<float> values) {
    std::vector<float> kept(values.size());
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y)
            for (int x = 0; x < maps.columns; ++x)
                kept[at(maps.at(c, y, x))] = values[at(maps.at(c, y, x))];
    return kept;
}

// Where a row of planar flow is filled up there must be zeros.
bool is_filled_with_zeros(const Maps& maps, const std::vector<float>& flow) {
    for (int k = 0; k < maps.channels * maps.rows; ++k)
        for (int x = maps.columns; x < flow_row(maps); ++x)
            if (flow[at(k * flow_row(maps) + x)] != 0.0f) return false;
    return true;
}

void check_convolution(const Layer& layer, bool planar_input, bool planar, bool whole, Failures& failures) {
    const std::string place = shape("one image's convolution", layer) +
                              (planar_input ? " from planes" : " from pixels") +
                              (planar ? " to planes" : " to pixels");
    const Comparison compare(place, whole, failures);
    Numbers numbers(whole);
    const Maps &in = layer.input, &out = layer.output;
    const int taps = in.channels * layer.size * layer.size;
    const std::vector<float> weight = numbers.plain(out.channels * taps);
    const std::vector<float> input = draw(numbers, in), flow = draw(numbers, out);
    std::vector<float> weight_gradient = numbers.plain(out.channels * taps); // to be overwritten
    std::vector<float> bias_gradient = numbers.plain(out.channels);
    std::vector<float> taps_room = room(one_taps(layer)), margin = room(one_margin(layer));
    std::vector<float> below(at(flow_floats(in, true) + 4 * lanes), 5.0f);
    const std::vector<float> one_flow = to_flow(out, planar, flow);
    one_weight_gradient(layer, planar_input, planar, laid_out(in, planar_input, input).data(),
                        one_flow.data(), taps_room.data(), weight_gradient.data(), bias_gradient.data());
    one_input_gradient(layer, planar, one_flow.data(), weight.data(), margin.data(), below.data());

    std::vector<double> plain_weight(weight.size()), plain_bias(bias_gradient.size());
    std::vector<float> plain_below(at(in.padded_size()));
    plain::convolution_weight_gradient(layer, widened(input).data(), widened(flow).data(),
                                       plain_weight.data(), plain_bias.data());
    plain::convolution_input_gradient(layer, flow.data(), weight.data(), plain_below.data());
    compare.sums("weight gradient", weight_gradient, plain_weight);
    compare.sums("bias gradient", bias_gradient, plain_bias);
    compare.sums("input gradient", from_flow(in, true, below), inside(in, plain_below));
    if (!is_filled_with_zeros(in, below)) failures.add(place + ": numbers behind a row's end");

    std::vector<float> pixels = room(flow_floats(in, false));
    one_by_pixels(in, below.data(), pixels.data());
    compare.sums("by pixels", from_flow(in, false, pixels), inside(in, plain_below));
}

void check_pooling(const Layer& layer, Activation activation, bool planar, bool whole, Failures& failures) {
    const std::string place = shape("one image's pooling", layer) + (planar ? " of planes" : "") +
                              ", activation " + std::to_string(static_cast<int>(activation));
    const Comparison compare(place, whole && activation < Activation::sigmoid, failures);
    Numbers numbers(whole);
    const Maps &in = layer.input, &out = layer.output;
    std::vector<float> input = draw(numbers, in), output(at(out.padded_size()));
    for (float& value : input) value = plain::activate(activation, value);
    input = inside(in, input);
    const std::vector<float> flow = draw(numbers, out);
    plain::pooling_forward(layer, input.data(), output.data());
    std::vector<float> below(at(flow_floats(in, planar) + 4 * lanes), 5.0f);
    one_pooling_gradient(layer, activation, planar, laid_out(in, planar, input).data(),
                         laid_out(out, planar, output).data(), to_flow(out, planar, flow).data(),
                         below.data());
    std::vector<float> plain_below(at(in.padded_size()));
    plain::pooling_gradient(layer, input.data(), output.data(), flow.data(), plain_below.data());
    for (std::size_t k = 0; k < plain_below.size(); ++k)
        plain_below[k] *= plain::activation_slope(activation, input[k]);
    compare.sums("input gradient", from_flow(in, planar, below), plain_below);
    if (planar && !is_filled_with_zeros(in, below)) failures.add(place + ": numbers behind a row's end");

    Layer alone;
    alone.activation = activation;
    alone.output = in;
    std::vector<float> own = draw(numbers, in), one_own = to_flow(in, planar, own);
    one_activation_gradient(alone, planar, laid_out(in, planar, input).data(), one_own.data());
    for (std::size_t k = 0; k < own.size(); ++k) own[k] *= plain::activation_slope(activation, input[k]);
    compare.sums("activation's gradient", from_flow(in, planar, one_own), own);
}

// A few images' numbers, and where each image's begin.
struct Rows {
    std::vector<std::vector<float>> values;
    std::vector<float*> places;

    Rows(Numbers& numbers, int images, int count) {
        for (int n = 0; n < images; ++n) {
            values.push_back(numbers.plain(count));
            values.back().resize(at(count + 4 * lanes));
            places.push_back(values.back().data());
        }
    }
};

void check_dense(int inputs, int outputs, bool whole, Failures& failures) {
    const Comparison compare(
        "one image's dense " + std::to_string(inputs) + " to " + std::to_string(outputs), whole, failures);
    Numbers numbers(whole);
    std::vector<float> weight = numbers.plain(inputs * outputs);
    std::vector<float> input = numbers.plain(inputs), flow = numbers.plain(outputs), below(at(inputs));
    std::vector<float> weight_gradient(weight.size()), bias_gradient(at(outputs));
    one_dense_input_gradient(inputs, outputs, flow.data(), weight.data(), below.data());
    one_dense_weight_gradient(inputs, outputs, input.data(), flow.data(), weight_gradient.data(),
                              bias_gradient.data());
    std::vector<float> plain_below(below.size()), plain_weight(weight.size()), plain_bias(at(outputs));
    plain::dense_input_gradient(inputs, outputs, flow.data(), weight.data(), plain_below.data());
    plain::dense_weight_gradient(inputs, outputs, input.data(), flow.data(), plain_weight.data(),
                                 plain_bias.data());
    compare.sums("input gradient", below, plain_below);
    compare.sums("weight gradient", weight_gradient, plain_weight);
    compare.sums("bias gradient", bias_gradient, plain_bias);
}

// Several images at once: forward, and down the gradient in the pass that makes the flow into the inputs.
void check_few(int images, int inputs, int outputs, bool whole, Failures& failures) {
    const Comparison compare(std::to_string(images) + " images' dense " + std::to_string(inputs) + " to " +
                                 std::to_string(outputs),
                             whole, failures);
    constexpr float rate = 0.5f;
    Numbers numbers(whole);
    const std::vector<float> weight = numbers.plain(inputs * outputs), bias = numbers.plain(outputs);
    const Rows input(numbers, images, inputs), flow(numbers, images, outputs);
    const Rows output(numbers, images, outputs), below(numbers, images, inputs);
    few_dense_forward(inputs, outputs, images, input.places.data(), weight.data(), bias.data(),
                      output.places.data());
    std::vector<float> descended = weight, descended_bias = bias;
    few_dense_descent(inputs, outputs, images, input.places.data(), flow.places.data(), rate,
                      descended.data(), descended_bias.data(), below.places.data());
    std::vector<float> plain_weight(weight.size()), plain_bias(bias.size());
    for (int n = 0; n < images; ++n) {
        std::vector<float> plain_output(at(outputs)), plain_below(at(inputs));
        const float *in = input.places[at(n)], *down = flow.places[at(n)];
        plain::dense_forward(inputs, outputs, in, weight.data(), bias.data(), plain_output.data());
        plain::dense_input_gradient(inputs, outputs, down, weight.data(), plain_below.data());
        plain::dense_weight_gradient(inputs, outputs, in, down, plain_weight.data(), plain_bias.data());
        compare.sums("output", {output.places[at(n)], output.places[at(n)] + outputs}, plain_output);
        compare.sums("input gradient", {below.places[at(n)], below.places[at(n)] + inputs}, plain_below);
    }
    for (std::size_t i = 0; i < weight.size(); ++i) plain_weight[i] = weight[i] - rate * plain_weight[i];
    for (std::size_t o = 0; o < bias.size(); ++o) plain_bias[o] = bias[o] - rate * plain_bias[o];
    compare.sums("descended weights", descended, plain_weight);
    compare.sums("descended biases", descended_bias, plain_bias);
}

// The same bytes as from a gradient that is kept and then used.
void check_descent(int images, int inputs, int outputs, Failures& failures) {
    const Comparison compare(std::to_string(images) + " images' descent " + std::to_string(inputs) + " to " +
                                 std::to_string(outputs),
                             true, failures);
    constexpr float rate = 0.3f;
    Numbers numbers(false);
    std::vector<float> weight = numbers.plain(inputs * outputs), bias = numbers.plain(outputs);
    const Rows input(numbers, images, inputs), flow(numbers, images, outputs);
    const Rows below(numbers, images, inputs);
    const std::size_t count = at(images);
    std::vector<float> features(at(panels_of(inputs) * panel) * count), rows(at(outputs) * count);
    for (int n = 0; n < images; ++n) {
        for (int i = 0; i < inputs; ++i)
            features[at(i / panel * panel) * count + at(n * panel + i % panel)] = input.places[at(n)][i];
        for (int o = 0; o < outputs; ++o) rows[at(o) * count + at(n)] = flow.places[at(n)][o];
    }
    std::vector<float> gradient(weight.size()), bias_gradient(bias.size());
    dense_weight_gradient(inputs, 0, outputs, count, count, features.data(), rows.data(), gradient.data(),
                          bias_gradient.data());
    std::vector<float> expected = weight, expected_bias = bias;
    for (std::size_t i = 0; i < weight.size(); ++i) expected[i] -= rate * gradient[i];
    for (std::size_t o = 0; o < bias.size(); ++o) expected_bias[o] -= rate * bias_gradient[o];
    few_dense_descent(inputs, outputs, images, input.places.data(), flow.places.data(), rate, weight.data(),
                      bias.data(), below.places.data());
    compare.sums("weights", weight, expected);
    compare.sums("biases", bias, expected_bias);
}

void check_flat(const Maps& maps, Failures& failures) {
    const Comparison compare("one image flat", true, failures);
    Numbers numbers(true);
    const std::vector<float> values = draw(numbers, maps);
    for (const bool planar : {true, false}) {
        std::vector<float> flat = room(maps.size()), flow = room(flow_floats(maps, planar));
        one_flatten_maps(maps, planar, laid_out(maps, planar, values).data(), flat.data());
        one_unflatten(maps, planar, flat.data(), flow.data());
        compare.sums("there and back", from_flow(maps, planar, flow), values);
    }
}

} // namespace

namespace lenet::check {

void check_single(Failures& failures) {
    constexpr Activation all[] = {Activation::identity, Activation::relu, Activation::leaky_relu,
                                  Activation::sigmoid,  Activation::tanh, Activation::scaled_tanh};
    for (const bool whole : {true, false}) {
        for (const bool planar_input : {true, false})
            for (const bool planar : {true, false}) {
                if (planar && !planar_input) continue; // no network has that
                const auto check = [&](const Layer& layer) {
                    check_convolution(layer, planar_input, planar, whole, failures);
                };
                for (const int columns : {5, 9, 14, 20, 28})
                    for (const int outputs : {1, 3, 6, 16, 17, 33})
                        for (const int inputs : {1, 6, 7})
                            check(convolution(inputs, 7, columns, outputs, 5, 0, 0));
                for (const int padding : {0, 1, 2, 4})
                    for (const int border : {0, 1}) check(convolution(3, 8, 9, 5, 5, padding, border));
                for (const int size : {1, 2, 3, 4, 6, 7}) check(convolution(2, 9, 8, 3, size, size / 2, 1));
                check(convolution(16, 5, 5, 20, 5, 0, 0));
            }
        for (const Kind kind : {Kind::average_pooling, Kind::max_pooling})
            for (const int size : {1, 2, 3})
                for (const int columns : {6, 8, 13, 16, 28, 33})
                    for (const Activation activation : all)
                        for (const bool planar : {true, false}) {
                            Layer layer;
                            layer.kind = kind;
                            layer.size = size;
                            layer.input = Maps{3, 7, columns, 0};
                            layer.output = Maps{3, 7 / size, columns / size, 1};
                            // A third is no whole number: its share may round differently.
                            check_pooling(layer, activation, planar, whole && size < 3, failures);
                        }
        for (const int outputs : {1, 5, 10, 17, 84})
            for (const int inputs : {1, 3, 8, 31, 120, 400}) {
                check_dense(inputs, outputs, whole, failures);
                for (int images = 1; images <= few_images; ++images)
                    check_few(images, inputs, outputs, whole, failures);
            }
    }
    for (int images = 1; images <= few_images; ++images)
        for (const auto& [inputs, outputs] : {std::pair{3, 5}, std::pair{84, 10}, std::pair{400, 17}})
            check_descent(images, inputs, outputs, failures);
    for (const int channels : {3, 16, 19}) check_flat(Maps{channels, 4, 5, 1}, failures);
}

} // namespace lenet::check
