// Softmax cross-entropy of a group of images: loss, misses and the gradient of the logits.
#pragma once

#include <cmath>

#include "backend.hpp"
#include "tile.hpp"
#include "vector.hpp"

namespace {

using lenet::Totals;

// Of one image, whose logits are `step` apart: adds loss and misses to `totals`.  `sum` is that of their
// exponentials below `largest`.
inline void score(int classes, const float* logits, int step, float largest, float sum, const float* target,
                  int label, float smoothing, Totals& totals) {
    const double log_sum = std::log(static_cast<double>(sum));
    const double spread = static_cast<double>(smoothing / static_cast<float>(classes));
    const auto log_probability = [&](int c) {
        return static_cast<double>(logits[c * step]) - static_cast<double>(largest) - log_sum;
    };
    int best = 0;
    double all = 0.0;
    for (int c = 0; c < classes; ++c) {
        all += target == nullptr ? log_probability(c) : static_cast<double>(target[c]) * log_probability(c);
        if (logits[c * step] > logits[best * step]) best = c;
    }
    totals.loss -= target != nullptr
                       ? all
                       : (1.0 - static_cast<double>(smoothing)) * log_probability(label) + spread * all;
    totals.misses += best != label;
}

// Softmax cross-entropy of the group's logits: adds up loss and misses, and writes the gradient of
// the mean loss over `batch` images; lanes without an image get zero.
Totals score_group(const Network& network, const Images& images, std::size_t begin, std::size_t end,
                   std::size_t batch, float smoothing, const V* logits, V* flow) {
    const int classes = network.classes();
    const float share = 1.0f / static_cast<float>(batch);
    const float spread = images.targets ? 0.0f : smoothing / static_cast<float>(classes);
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
            const std::size_t index = images.index(position);
            const int label = static_cast<int>(images.labels[index]);
            const float* target = images.target(index, classes);
            if (target == nullptr) flow[label * tiles + t][lane] -= (1.0f - smoothing) * share;
            for (int c = 0; target != nullptr && c < classes; ++c)
                flow[c * tiles + t][lane] -= target[c] * share;
            score(classes, reinterpret_cast<const float*>(logits + t) + lane, tiles * lanes, largest[lane],
                  sum[lane], target, label, smoothing, totals);
        }
    }
    return totals;
}

// The same for one image.  `flow` has room for whole vectors.
Totals score_one(int classes, const float* logits, const Images& images, std::size_t index,
                 std::size_t batch, float smoothing, float* flow) {
    const float share = 1.0f / static_cast<float>(batch);
    const int label = static_cast<int>(images.labels[index]);
    const float* target = images.target(index, classes);
    const float spread = target ? 0.0f : smoothing / static_cast<float>(classes);
    float largest = logits[0], sum = 0.0f;
    for (int c = 1; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    for (int c = 0; c < classes; c += lanes) store(flow + c, exponential(load(logits + c) - largest));
    for (int c = 0; c < classes; ++c) sum += flow[c];
    for (int c = 0; c < classes; ++c) {
        flow[c] = (flow[c] / sum - spread) * share;
        if (target != nullptr) flow[c] -= target[c] * share;
    }
    if (target == nullptr) flow[label] -= (1.0f - smoothing) * share;
    Totals totals;
    score(classes, logits, 1, largest, sum, target, label, smoothing, totals);
    return totals;
}

} // namespace
