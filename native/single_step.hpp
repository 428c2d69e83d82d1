// One image forward and backward through a whole network: a step on few images.
#pragma once

#include "dense.hpp"
#include "loss.hpp"
#include "single_dense.hpp"
#include "single_gradient.hpp"

namespace {

using lenet::Weights;

// Whether a convolution sees its whole input once: it is computed as a dense layer.
bool is_covering(const Layer& layer) {
    return layer.kind == Kind::convolution && layer.input.border == 0 && layer.output.rows == 1 &&
           layer.output.columns == 1;
}

// The first of the layers that are dense or computed so.
int first_flat(const Network& network) {
    int k = network.spatial;
    while (k > 0 && is_covering(network.layers[k - 1])) --k;
    return k;
}

// Packed weights of the layers before those, as `pack` would lay them out.
std::size_t spatial_floats(const Network& network) {
    std::size_t total = 0;
    const int planar = planar_layers(network);
    for (int k = 0; k < first_flat(network); ++k) total += packed_layer(network.layers[k], k < planar);
    return total;
}

void pack_spatial(const Network& network, const float* parameters, float* packed) {
    const int planar = planar_layers(network);
    for (int k = 0; k < first_flat(network); ++k) {
        pack_layer(network.layers[k], k < planar, parameters, packed);
        packed += packed_layer(network.layers[k], k < planar);
    }
}

// One image's buffers.
struct OneRooms {
    std::uint8_t* seen;
    AugmentRoom augment;
    float* image;
    float* output[lenet::maximum_layers];
    float* kept[lenet::maximum_layers]; // what an activation read, where its value does not tell
    float* flat;                        // what the first flat layer reads
    float* flow[2];
    float* taps;
    float* margin;
};

OneRooms lay_out_one(const Network& network, Shelf& shelf) {
    OneRooms rooms = {};
    const int planar = planar_layers(network), flat = first_flat(network);
    // Vectors at the end of a row may read beyond the last one.
    const auto take = [&](int floats) { return shelf.take<float>(count_of(floats + 4 * lanes)); };
    int widest = network.pixels().size(), taps = 0, margin = 0;
    rooms.seen = shelf.take<std::uint8_t>(count_of(network.pixels().size()));
    rooms.augment = lay_out_augmentation(network.pixels(), shelf);
    rooms.image = take(network.pixels().padded_size());
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const Maps &in = layer.input, &out = layer.output;
        const int floats =
            k < flat ? out.channel_stride() * (k < planar ? out.channels : places(out, false).pixel)
                     : out.size();
        rooms.output[k] = take(floats);
        if (!lenet::is_told_by_value(layer.activation)) rooms.kept[k] = take(floats);
        widest = largest(widest, largest(in.size(), out.size()));
        if (k >= flat) continue;
        widest = largest(widest, flow_floats(out, k < planar));
        if (k > 0) widest = largest(widest, flow_floats(in, true));
        if (layer.kind != Kind::convolution) continue;
        if (k >= planar) taps = largest(taps, one_taps(layer));
        if (k > 0) margin = largest(margin, one_margin(layer));
    }
    rooms.flat = take(network.layers[flat].input.size());
    for (float*& flow : rooms.flow) flow = take(widest);
    rooms.taps = take(taps);
    rooms.margin = take(margin);
    return rooms;
}

std::size_t one_workspace_bytes(const Network& network) {
    Shelf shelf(nullptr);
    lay_out_one(network, shelf);
    return shelf.used();
}

// Forward; returns the logits.
const float* forward_one(const Network& network, const float* parameters, const float* packed,
                         const std::uint8_t* pixels, const OneRooms& rooms) {
    const int planar_count = planar_layers(network), flat = first_flat(network);
    load_one(network, pixels, rooms.image);
    const float* input = rooms.image;
    bool planar = true; // the input of layer k
    for (int k = 0; k < flat; ++k) {
        const Layer& layer = network.layers[k];
        const bool stays = k < planar_count;
        one_spatial(layer, planar, stays, input, packed, rooms.output[k], rooms.kept[k]);
        packed += packed_layer(layer, stays);
        planar = stays;
        input = rooms.output[k];
    }
    one_flatten_maps(network.layers[flat].input, planar, input, rooms.flat);
    input = rooms.flat;
    for (int k = flat; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        one_dense_forward(layer.input.size(), layer.output.size(), input, parameters + layer.weight,
                          parameters + layer.bias, rooms.output[k]);
        one_flat_activation(layer, rooms.output[k], rooms.kept[k]);
        input = rooms.output[k];
    }
    return input;
}

// What the weights' gradient of dense layer `k` will need of the image at `position`.
void keep_one(const Layer& layer, const float* input, const float* flow, std::size_t position,
              std::size_t capacity, float* features, float* kept_flow) {
    const int inputs = layer.input.size();
    for (int i = 0; i < inputs; i += panel) {
        const int count = inputs - i < panel ? inputs - i : panel;
        float* to = features + count_of(i) * capacity + position * panel;
        std::memcpy(to, input + i, count_of(count) * sizeof(float));
        std::memset(to + count, 0, count_of(panel - count) * sizeof(float));
    }
    for (int o = 0; o < layer.output.size(); ++o) kept_flow[count_of(o) * capacity + position] = flow[o];
}

// From the logits' gradient in `rooms.flow[0]` down to what the first flat layer reads; returns the
// buffer in which it ends.
int backward_flat(const Network& network, const float* parameters, const OneRooms& rooms,
                  std::size_t position, const lenet::Batch& batch, float* gradient) {
    int now = 0;
    const int flat = first_flat(network);
    for (int k = network.count - 1; k >= flat; --k) {
        const Layer& layer = network.layers[k];
        const int inputs = layer.input.size(), outputs = layer.output.size();
        float* flow = rooms.flow[now];
        one_flat_activation_gradient(layer, rooms.kept[k] ? rooms.kept[k] : rooms.output[k], flow);
        const float* input = k == flat ? rooms.flat : rooms.output[k - 1];
        if (k < network.spatial)
            one_dense_weight_gradient(inputs, outputs, input, flow, gradient + layer.weight,
                                      gradient + layer.bias);
        else
            keep_one(layer, input, flow, position, batch.capacity, batch.features[k], batch.flow[k]);
        if (k == 0) break;
        one_dense_input_gradient(inputs, outputs, flow, parameters + layer.weight, rooms.flow[1 - now]);
        now = 1 - now;
    }
    return now;
}

void backward_spatial(const Network& network, const float* parameters, const OneRooms& rooms, int now,
                      float* gradient) {
    const int planar_count = planar_layers(network);
    const auto planar_at = [&](int k) { return k < planar_count; };
    int k = first_flat(network) - 1;
    one_unflatten(network.layers[k].output, planar_at(k), rooms.flow[now], rooms.flow[1 - now]);
    now = 1 - now;
    for (; k >= 0; --k) {
        const Layer* layer = &network.layers[k];
        const float* input = k == 0 ? rooms.image : rooms.output[k - 1];
        if (layer->kind != Kind::convolution) {
            if (k == 0) return;
            const Layer& below = network.layers[k - 1];
            const bool joined = below.kind == Kind::convolution;
            const bool at_once = joined && rooms.kept[k - 1] == nullptr;
            one_pooling_gradient(*layer, at_once ? below.activation : Activation::identity, planar_at(k),
                                 input, rooms.output[k], rooms.flow[now], rooms.flow[1 - now]);
            now = 1 - now;
            if (!joined) continue;
            layer = &below;
            --k;
            input = k == 0 ? rooms.image : rooms.output[k - 1];
            if (!at_once) one_activation_gradient(*layer, planar_at(k), rooms.kept[k], rooms.flow[now]);
        } else {
            one_activation_gradient(*layer, planar_at(k), rooms.kept[k] ? rooms.kept[k] : rooms.output[k],
                                    rooms.flow[now]);
        }
        const bool planar = planar_at(k), planar_input = k == 0 || planar_at(k - 1);
        one_weight_gradient(*layer, planar_input, planar, input, rooms.flow[now], rooms.taps,
                            gradient + layer->weight, gradient + layer->bias);
        if (k == 0) return;
        one_input_gradient(*layer, planar, rooms.flow[now], parameters + layer->weight, rooms.margin,
                           rooms.flow[1 - now]);
        now = 1 - now;
        if (planar_input) continue;
        one_by_pixels(layer->input, rooms.flow[now], rooms.flow[1 - now]);
        now = 1 - now;
    }
}

// Forward and backward for the image at `position` of a batch of `batch`: as `train` for one image.
Totals train_one(const Network& network, const Weights& weights, const Images& images, std::size_t position,
                 std::size_t batch, const lenet::Loss& loss, const lenet::Batch& store, float* gradient,
                 void* workspace) {
    Shelf shelf(workspace);
    const OneRooms rooms = lay_out_one(network, shelf);
    const std::size_t index = images.index(position);
    const std::uint8_t* pixels = see(images, position, network.pixels(), rooms.augment, rooms.seen);
    const float* logits = forward_one(network, weights.plain, weights.packed, pixels, rooms);
    const Totals totals =
        score_one(network.classes(), logits, images, index, batch, loss, rooms.flow[0]);
    const int now = backward_flat(network, weights.plain, rooms, position, store, gradient);
    if (first_flat(network) > 0) backward_spatial(network, weights.plain, rooms, now, gradient);
    return totals;
}

} // namespace
