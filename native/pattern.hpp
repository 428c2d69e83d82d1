// Learning pattern by pattern, as the engine asks for it: answers, steps, second derivatives.
#pragma once

#include <cstring>

#include "loss.hpp"
#include "pattern_backward.hpp"
#include "pattern_forward.hpp"

namespace {

// Logits of one image.
void answer_pattern(const Network& network, const float* packed, const std::uint8_t* pixels, float* logits,
                    void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    std::memcpy(logits, forward_patterns(network, packed, pixels, rooms),
                count_of(network.classes()) * sizeof(float));
}

// One step on one image: each weight goes down its gradient at a rate of its own.
Totals learn_pattern(const Network& network, float* packed, const float* rates, const lenet::Loss& loss,
                     const Images& images, std::size_t image, void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    const std::uint8_t* pixels = images.pixels + image * count_of(network.pixels().size());
    const float* logits = forward_patterns(network, packed, pixels, rooms);
    const Totals totals =
        score_one(network.classes(), logits, images, image, 1, loss, rooms.flow[network.count - 1]);
    backward_patterns<Order::first>(
        network, packed, rooms, network.count - 1, [=](std::size_t place, V gradient) {
            store(packed + place, load(packed + place) - load(rates + place) * gradient);
        });
    return totals;
}

// Adds the second derivatives of one image to `curvature`, which is packed as the weights are;
// `squares` are the weights squared.
void curve_pattern(const Network& network, const float* packed, const float* squares,
                   const std::uint8_t* pixels, float* curvature, void* workspace) {
    Shelf shelf(workspace);
    const PatternRooms rooms = lay_out_pattern(network, shelf);
    const float* logits = forward_patterns(network, packed, pixels, rooms);
    int last = network.count - 1;
    if (network.layers[last].kind == Kind::radial_basis) {
        // That of a squared distance, whatever the loss: see `reference::curvature_of_outputs`.
        --last;
        for (int j = 0; j < network.layers[last].output.channels; ++j)
            rooms.flow[last][j] = 2.0f * network.last().scale;
    } else {
        curve_one(network.classes(), logits, rooms.flow[last]);
    }
    backward_patterns<Order::second>(network, squares, rooms, last, [=](std::size_t place, V value) {
        store(curvature + place, load(curvature + place) + value);
    });
}

} // namespace
