// The losses of a group of images and of one: loss, misses and the gradient of the logits.
#pragma once

#include <cmath>

#include "backend.hpp"
#include "tile.hpp"
#include "vector.hpp"

namespace {

using lenet::Loss;
using lenet::LossKind;
using lenet::Totals;

// What the exponentials of `logits` are taken against, so that none of them overflows.
inline V largest_logit(const Loss& loss, int classes, const V* logits, int step) {
    V largest = loss.kind == LossKind::map ? splat(-loss.rubbish) : logits[0];
    for (int c = 0; c < classes; ++c)
        largest = choose(logits[c * step] > largest, logits[c * step], largest);
    return largest;
}

// Adds up loss and misses of the group's logits, and writes the gradient of the mean loss over `batch`
// images; lanes without an image get zero.
Totals score_group(const Network& network, const Images& images, std::size_t begin, std::size_t end,
                   std::size_t batch, const Loss& loss, const V* logits, V* flow) {
    const int classes = network.classes();
    const float share = 1.0f / static_cast<float>(batch);
    const float smoothing = loss.smoothing, spread = smoothing / static_cast<float>(classes);
    // Equation 8 has no competition.
    const float competing = loss.kind == LossKind::mse ? 0.0f : 1.0f;
    Totals totals;
    for (int t = 0; t < tiles; ++t) {
        const V largest = largest_logit(loss, classes, logits + t, tiles);
        V sum = loss.kind == LossKind::map ? exponential(-loss.rubbish - largest) : V{};
        for (int c = 0; c < classes; ++c) {
            flow[c * tiles + t] = exponential(logits[c * tiles + t] - largest);
            sum += flow[c * tiles + t];
        }
        for (int c = 0; c < classes; ++c)
            flow[c * tiles + t] = (flow[c * tiles + t] / sum * competing - spread) * share;
        for (int lane = 0; lane < lanes; ++lane) {
            const std::size_t position = begin + count_of(t * lanes + lane);
            if (position >= end) {
                for (int c = 0; c < classes; ++c) flow[c * tiles + t][lane] = 0.0f;
                continue;
            }
            const int label = static_cast<int>(images.labels[images.index(position)]);
            flow[label * tiles + t][lane] -= (1.0f - smoothing) * share;
            const double base = loss.kind == LossKind::mse ? 0.0
                                                           : static_cast<double>(largest[lane]) +
                                                                 std::log(static_cast<double>(sum[lane]));
            int best = 0;
            double all = 0.0;
            for (int c = 0; c < classes; ++c) {
                all += static_cast<double>(logits[c * tiles + t][lane]) - base;
                if (logits[c * tiles + t][lane] > logits[best * tiles + t][lane]) best = c;
            }
            const double own = static_cast<double>(logits[label * tiles + t][lane]) - base;
            totals.loss -= (1.0 - static_cast<double>(smoothing)) * own + static_cast<double>(spread) * all;
            totals.misses += best != label;
        }
    }
    return totals;
}

// The probabilities of one image's classes, and what is left of 1 for the rubbish; returns the
// logarithm of what they were divided by.
inline double divide_one(const Loss& loss, int classes, const float* logits, float* probabilities) {
    float largest = loss.kind == LossKind::map ? -loss.rubbish : logits[0];
    for (int c = 0; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    const auto power = [=](float logit) { return std::exp(static_cast<double>(logit - largest)); };
    double sum = loss.kind == LossKind::map ? power(-loss.rubbish) : 0.0;
    for (int c = 0; c < classes; ++c) sum += power(logits[c]);
    for (int c = 0; c < classes; ++c) probabilities[c] = static_cast<float>(power(logits[c]) / sum);
    return static_cast<double>(largest) + std::log(sum);
}

// Loss and miss of one image, and the gradient of its logits.
inline Totals score_one(const Loss& loss, int classes, const float* logits, int label, float* flow) {
    const bool competing = loss.kind != LossKind::mse;
    const double base = competing ? divide_one(loss, classes, logits, flow) : 0.0;
    const float spread = loss.smoothing / static_cast<float>(classes);
    double all = 0.0;
    int best = 0;
    for (int c = 0; c < classes; ++c) {
        flow[c] = (competing ? flow[c] : 0.0f) - spread;
        all += static_cast<double>(logits[c]) - base;
        if (logits[c] > logits[best]) best = c;
    }
    flow[label] -= 1.0f - loss.smoothing;
    const double own = static_cast<double>(logits[label]) - base;
    return {.loss = -(1.0 - static_cast<double>(loss.smoothing)) * own - static_cast<double>(spread) * all,
            .misses = best != label};
}

// The second derivatives of softmax cross-entropy by each logit, without what couples them.
inline void curve_one(int classes, const float* logits, float* flow) {
    divide_one({}, classes, logits, flow);
    for (int c = 0; c < classes; ++c) flow[c] *= 1.0f - flow[c];
}

} // namespace
