// Softmax cross-entropy of a group of images: loss, misses and the gradient of the logits.
#pragma once

#include <cmath>

#include "backend.hpp"
#include "tile.hpp"
#include "vector.hpp"

namespace {

using lenet::Totals;

// Softmax cross-entropy of the group's logits: adds up loss and misses, and writes the gradient of
// the mean loss over `batch` images; lanes without an image get zero.
Totals score_group(const Network& network, const Images& images, std::size_t begin,
                   std::size_t end, std::size_t batch, float smoothing, const V* logits, V* flow) {
    const int classes = network.classes();
    const float share = 1.0f / static_cast<float>(batch);
    const float spread = smoothing / static_cast<float>(classes);
    Totals totals;
    for (int t = 0; t < tiles; ++t) {
        V largest = logits[t], sum = {};
        for (int c = 1; c < classes; ++c)
            largest = choose(logits[c * tiles + t] > largest, logits[c * tiles + t], largest);
        for (int c = 0; c < classes; ++c) {
            flow[c * tiles + t] = exponential(logits[c * tiles + t] - largest);
            sum += flow[c * tiles + t];
        }
        for (int c = 0; c < classes; ++c)
            flow[c * tiles + t] = (flow[c * tiles + t] / sum - spread) * share;
        for (int lane = 0; lane < lanes; ++lane) {
            const std::size_t position = begin + count_of(t * lanes + lane);
            if (position >= end) {
                for (int c = 0; c < classes; ++c) flow[c * tiles + t][lane] = 0.0f;
                continue;
            }
            const int label = static_cast<int>(images.labels[images.index(position)]);
            flow[label * tiles + t][lane] -= (1.0f - smoothing) * share;
            const double log_sum = std::log(static_cast<double>(sum[lane]));
            int best = 0;
            double all = 0.0;
            for (int c = 0; c < classes; ++c) {
                const double logit = static_cast<double>(logits[c * tiles + t][lane]);
                all += logit - static_cast<double>(largest[lane]) - log_sum;
                if (logits[c * tiles + t][lane] > logits[best * tiles + t][lane]) best = c;
            }
            const double own = static_cast<double>(logits[label * tiles + t][lane]) -
                               static_cast<double>(largest[lane]) - log_sum;
            totals.loss -= (1.0 - static_cast<double>(smoothing)) * own +
                           static_cast<double>(spread) * all;
            totals.misses += best != label;
        }
    }
    return totals;
}

} // namespace
