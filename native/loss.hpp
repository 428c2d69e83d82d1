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

// Of one image, whose logits are `step` apart: adds loss and misses to `totals`.  `base` is the
// logarithm of what competes with the label, or 0 where nothing does.
inline void score(int classes, const float* logits, int step, double base, const float* target, int label,
                  float smoothing, Totals& totals) {
    const double spread = static_cast<double>(smoothing / static_cast<float>(classes));
    const auto log_probability = [&](int c) { return static_cast<double>(logits[c * step]) - base; };
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

// What competes, as a logarithm; equation 8 has no competition.
inline double log_of(const Loss& loss, float largest, float sum) {
    if (loss.kind == LossKind::mse) return 0.0;
    return static_cast<double>(largest) + std::log(static_cast<double>(sum));
}

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
    const float smoothing = loss.smoothing;
    const float spread = images.targets ? 0.0f : smoothing / static_cast<float>(classes);
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
            const std::size_t index = images.index(position);
            const int label = static_cast<int>(images.labels[index]);
            const float* target = images.target(index, classes);
            if (target == nullptr) flow[label * tiles + t][lane] -= (1.0f - smoothing) * share;
            for (int c = 0; target != nullptr && c < classes; ++c)
                flow[c * tiles + t][lane] -= target[c] * share;
            score(classes, reinterpret_cast<const float*>(logits + t) + lane, tiles * lanes,
                  log_of(loss, largest[lane], sum[lane]), target, label, smoothing, totals);
        }
    }
    return totals;
}

// The same for one image.  `logits` and `flow` have room for whole vectors.
Totals score_one(int classes, const float* logits, const Images& images, std::size_t index,
                 std::size_t batch, const Loss& loss, float* flow) {
    const float share = 1.0f / static_cast<float>(batch);
    const int label = static_cast<int>(images.labels[index]);
    const float* target = images.target(index, classes);
    const float smoothing = loss.smoothing;
    const float spread = target ? 0.0f : smoothing / static_cast<float>(classes);
    const float competing = loss.kind == LossKind::mse ? 0.0f : 1.0f;
    const float rubbish = -loss.rubbish;
    float largest = loss.kind == LossKind::map ? rubbish : logits[0];
    for (int c = 0; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    float sum = loss.kind == LossKind::map ? exponential(splat(rubbish - largest))[0] : 0.0f;
    for (int c = 0; c < classes; c += lanes) store(flow + c, exponential(load(logits + c) - largest));
    for (int c = 0; c < classes; ++c) sum += flow[c];
    for (int c = 0; c < classes; ++c) {
        flow[c] = (flow[c] / sum * competing - spread) * share;
        if (target != nullptr) flow[c] -= target[c] * share;
    }
    if (target == nullptr) flow[label] -= (1.0f - smoothing) * share;
    Totals totals;
    score(classes, logits, 1, log_of(loss, largest, sum), target, label, smoothing, totals);
    return totals;
}

// The second derivatives of softmax cross-entropy by each logit, without what couples them.
inline void curve_one(int classes, const float* logits, float* flow) {
    float largest = logits[0], sum = 0.0f;
    for (int c = 1; c < classes; ++c) largest = logits[c] > largest ? logits[c] : largest;
    for (int c = 0; c < classes; c += lanes) store(flow + c, exponential(load(logits + c) - largest));
    for (int c = 0; c < classes; ++c) sum += flow[c];
    for (int c = 0; c < classes; ++c) flow[c] = flow[c] / sum * (1.0f - flow[c] / sum);
}

} // namespace
