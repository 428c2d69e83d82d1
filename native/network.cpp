// The builder of a network's shapes, for every caller.

#include "network.hpp"

#include <stdexcept>
#include <string>

namespace lenet {

namespace {

// What a message calls the thing that cannot be done, and what it cannot be.
void require(bool fits, const std::string& place, const char* reason) {
    if (!fits) throw std::invalid_argument(place + ": " + reason);
}

bool is_in_range(int value) { return value >= 1 && value <= maximum_outputs; }

// Whether everything that counts places in these maps stays far from overflowing.
bool is_moderate(const Maps& maps) {
    const auto wide = [](int value) { return static_cast<double>(value); };
    const double border = 2.0 * wide(maps.border);
    return wide(maps.channels) * (wide(maps.rows) + border) * (wide(maps.columns) + border) <=
           maximum_activations;
}

// Whether it reads numbers rather than maps.
bool is_flat(Kind kind) { return kind == Kind::dense || kind == Kind::radial_basis; }

Maps output_of(const LayerRow& row, const Maps& input) {
    if (is_flat(row.kind)) return Maps{row.outputs, 1, 1, 0};
    if (row.kind == Kind::convolution) {
        const int grow = 2 * row.padding - row.size + 1;
        return Maps{row.outputs, input.rows + grow, input.columns + grow, 0};
    }
    const int copies = row.kind == Kind::subsampling ? row.outputs : 1;
    return Maps{input.channels * copies, input.rows / row.size, input.columns / row.size, 0};
}

// In float64, where it cannot overflow.
double weights_of(const Layer& layer) {
    const auto wide = [](int value) { return static_cast<double>(value); };
    const double pairs = wide(layer.input.channels) * wide(layer.output.channels);
    if (layer.kind == Kind::subsampling) return wide(layer.output.channels);
    if (is_flat(layer.kind)) return pairs * wide(layer.input.rows) * wide(layer.input.columns);
    return layer.kind == Kind::convolution ? pairs * wide(layer.size) * wide(layer.size) : 0.0;
}

void add_layer(Network& network, const LayerRow& row, Maps input) {
    const std::string place = std::string("layer ") + row.name;
    const bool flat = is_flat(row.kind), distances = row.kind == Kind::radial_basis;
    const bool learns = flat || row.kind == Kind::convolution || row.kind == Kind::subsampling;
    require(!learns || row.outputs >= 1, place, "it has no outputs");
    require(!learns || is_in_range(row.outputs), place, "it is too large");
    require(row.kind != Kind::subsampling || row.outputs <= maximum_outputs / input.channels, place,
            "it is too large");
    require(!distances || network.count > network.spatial, place, "it needs a dense layer before it");
    if (!flat) {
        require(network.spatial == network.count, place, "it comes after a dense layer");
        require(row.size >= 1 && row.padding >= 0 && row.padding < row.size, place,
                "its size is out of range");
        require(row.size <= maximum_size, place, "it is too large");
        input.border = row.padding;
        ++network.spatial;
    }
    // The layer before writes into this one's border.
    if (network.count > 0) network.layers[network.count - 1].output.border = input.border;
    Layer& layer = network.layers[network.count++];
    layer.kind = row.kind;
    layer.activation = row.activation;
    layer.size = row.size;
    layer.scale = row.scale;
    layer.input = input;
    layer.output = output_of(row, input);
    require(layer.output.rows >= 1 && layer.output.columns >= 1, place, "nothing is left of a map");
    const double weights = weights_of(layer);
    require(is_moderate(layer.input) && is_moderate(layer.output) && weights <= maximum_weights,
            place, "it is too large");
    layer.weight = network.parameters;
    layer.bias = layer.weight + static_cast<std::size_t>(weights);
    if (!learns) return;
    network.parameters = layer.bias;
    if (distances) return;
    network.parameters += static_cast<std::size_t>(layer.output.channels);
    network.trained = network.parameters;
}

} // namespace

Network build_network(int channels, int rows, int columns, std::span<const LayerRow> layers,
                      float pixel_scale, float pixel_shift) {
    const std::string count = std::to_string(layers.size()) + " layers";
    require(!layers.empty(), count, "there must be at least one");
    const std::string most = std::to_string(maximum_layers) + " layers at most";
    require(layers.size() <= maximum_layers, count, most.c_str());
    require(is_in_range(channels) && is_in_range(rows) && is_in_range(columns), "the picture",
            "its size is out of range");
    Network network;
    network.pixel_scale = pixel_scale;
    network.pixel_shift = pixel_shift;
    Maps input{channels, rows, columns, 0};
    for (const LayerRow& row : layers) {
        require(network.count == 0 || network.last().kind != Kind::radial_basis,
                std::string("layer ") + row.name, "it comes after radial basis units");
        add_layer(network, row, input);
        input = network.last().output;
    }
    require(is_flat(network.last().kind), std::string("layer ") + layers.back().name,
            "the last layer must be dense");
    return network;
}

} // namespace lenet
