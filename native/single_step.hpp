// A step on a few images, one by one through what sees a picture, together through what is dense.
#pragma once

#include "dense.hpp"
#include "few_dense.hpp"
#include "loss.hpp"
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

// Forward up to what the first flat layer reads.
void forward_spatial(const Network& network, const float* packed, const std::uint8_t* pixels,
                     const OneRooms& rooms) {
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

// The flat layers of some images together.
struct Few {
    int count;
    const OneRooms* rooms; // of each image

    // What flat layer `k` reads of image `n`.
    const float* input(const Network& network, int n, int k) const {
        return k == first_flat(network) ? rooms[n].flat : rooms[n].output[k - 1];
    }
};

// Forward; the logits are in the last layer's outputs.
void forward_flat(const Network& network, const float* parameters, const Few& few) {
    const float* input[few_images];
    float* output[few_images];
    for (int k = first_flat(network); k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        for (int n = 0; n < few.count; ++n) {
            input[n] = few.input(network, n, k);
            output[n] = few.rooms[n].output[k];
        }
        few_dense_forward(layer.input.size(), layer.output.size(), few.count, input,
                          parameters + layer.weight, parameters + layer.bias, output);
        for (int n = 0; n < few.count; ++n) one_flat_activation(layer, output[n], few.rooms[n].kept[k]);
    }
}

// Which of its two buffers of flow an image's flow into the first flat layer is in.
int flow_below_flat(const Network& network) { return (network.count - first_flat(network)) % 2; }

// From the logits' gradient in the first buffers of flow down to what the first flat layer reads.  The first
// image is at `position` of the batch.
void backward_flat(const Network& network, const float* parameters, const Few& few, std::size_t position,
                   const lenet::Batch& batch, const lenet::Descent* descent, float* const* gradients) {
    const float* input[few_images];
    float *flow[few_images], *below[few_images];
    int now = 0;
    for (int k = network.count - 1; k >= first_flat(network); --k, now = 1 - now) {
        const Layer& layer = network.layers[k];
        const int inputs = layer.input.size(), outputs = layer.output.size();
        for (int n = 0; n < few.count; ++n) {
            const OneRooms& rooms = few.rooms[n];
            input[n] = few.input(network, n, k);
            flow[n] = rooms.flow[now];
            below[n] = rooms.flow[1 - now];
            one_flat_activation_gradient(layer, rooms.kept[k] ? rooms.kept[k] : rooms.output[k], flow[n]);
        }
        if (descent != nullptr && k >= network.spatial) {
            few_dense_descent(inputs, outputs, few.count, input, flow, descent->rate,
                              descent->parameters + layer.weight, descent->parameters + layer.bias, below);
            continue;
        }
        for (int n = 0; n < few.count; ++n) {
            if (k < network.spatial)
                one_dense_weight_gradient(inputs, outputs, input[n], flow[n], gradients[n] + layer.weight,
                                          gradients[n] + layer.bias);
            else
                keep_one(layer, input[n], flow[n], position + count_of(n), batch.capacity,
                         batch.features[k], batch.flow[k]);
            if (k > 0) one_dense_input_gradient(inputs, outputs, flow[n], parameters + layer.weight, below[n]);
        }
    }
}

void backward_spatial(const Network& network, const float* parameters, const OneRooms& rooms,
                      float* gradient) {
    const int planar_count = planar_layers(network);
    int now = flow_below_flat(network);
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

void forward_one(const Network& network, const Weights& weights, const Images& images, std::size_t position,
                 void* workspace) {
    Shelf shelf(workspace);
    const OneRooms rooms = lay_out_one(network, shelf);
    const std::uint8_t* pixels = see(images, position, network.pixels(), rooms.augment, rooms.seen);
    forward_spatial(network, weights.packed, pixels, rooms);
}

Totals train_flat(const Network& network, const Weights& weights, const Images& images, std::size_t position,
                  int count, std::size_t batch, const lenet::Loss& loss, const lenet::Batch& store,
                  const lenet::Descent* descent, void* const* workspaces, float* const* gradients) {
    OneRooms rooms[few_images];
    for (int n = 0; n < count; ++n) {
        Shelf shelf(workspaces[n]);
        rooms[n] = lay_out_one(network, shelf);
    }
    const Few few{count, rooms};
    forward_flat(network, weights.plain, few);
    Totals totals;
    for (int n = 0; n < count; ++n)
        totals += score_one(network.classes(), rooms[n].output[network.count - 1], images,
                            images.index(position + count_of(n)), batch, loss, rooms[n].flow[0]);
    backward_flat(network, weights.plain, few, position, store, descent, gradients);
    return totals;
}

void backward_one(const Network& network, const Weights& weights, float* gradient, void* workspace) {
    Shelf shelf(workspace);
    const OneRooms rooms = lay_out_one(network, shelf);
    if (first_flat(network) > 0) backward_spatial(network, weights.plain, rooms, gradient);
}

} // namespace
