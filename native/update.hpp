// The optimizers, as torch.optim.SGD and torch.optim.AdamW do them, and the average of the parameters.
//
// One loop an update, which the compiler turns into vectors of its own.
#pragma once

#include <cmath>
#include <cstring>

#include "backend.hpp"

namespace {

using lenet::Optimizer;
using lenet::Update;

// Takes out of the gradient of parameters [begin, begin + count) what the mask says, and scales it.
void prepare_gradient(const Update& update, std::size_t begin, std::size_t count,
                      float* __restrict gradient) {
    if (update.mask != nullptr) {
        const float* __restrict mask = update.mask + begin;
        for (std::size_t k = 0; k < count; ++k) gradient[k] *= mask[k];
    }
    if (update.scale < 1.0f)
        for (std::size_t k = 0; k < count; ++k) gradient[k] *= update.scale;
}

void sgd(const Optimizer& optimizer, float rate, bool started, std::size_t count,
         float* __restrict gradient, float* __restrict parameters, float* __restrict momentum) {
    const float decay = optimizer.weight_decay, keep = optimizer.momentum;
    if (decay > 0.0f)
        for (std::size_t k = 0; k < count; ++k) gradient[k] += decay * parameters[k];
    if (keep > 0.0f) {
        // The momentum begins as the first gradient.
        if (!started)
            std::memcpy(momentum, gradient, count * sizeof(float));
        else
            for (std::size_t k = 0; k < count; ++k) momentum[k] = keep * momentum[k] + gradient[k];
        if (optimizer.nesterov)
            for (std::size_t k = 0; k < count; ++k) gradient[k] += keep * momentum[k];
        else
            gradient = momentum;
    }
    for (std::size_t k = 0; k < count; ++k) parameters[k] -= rate * gradient[k];
}

void adamw(const Optimizer& optimizer, double rate, std::int64_t updates, std::size_t count,
           const float* __restrict gradient, float* __restrict parameters, float* __restrict mean,
           float* __restrict square) {
    const auto steps = static_cast<double>(updates);
    const auto beta1 = static_cast<float>(optimizer.beta1);
    const auto beta2 = static_cast<float>(optimizer.beta2);
    const auto new1 = static_cast<float>(1.0 - optimizer.beta1);
    const auto new2 = static_cast<float>(1.0 - optimizer.beta2);
    const auto size = static_cast<float>(rate / (1.0 - std::pow(optimizer.beta1, steps)));
    const auto scale = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(optimizer.beta2, steps)));
    const auto keep = static_cast<float>(1.0 - rate * static_cast<double>(optimizer.weight_decay));
    const float epsilon = optimizer.epsilon;
    for (std::size_t k = 0; k < count; ++k) {
        mean[k] = beta1 * mean[k] + new1 * gradient[k];
        square[k] = beta2 * square[k] + new2 * gradient[k] * gradient[k];
        const float spread = std::sqrt(square[k]) * scale + epsilon;
        parameters[k] = parameters[k] * keep - size * mean[k] / spread;
    }
}

// Each parameter goes down its gradient at a rate of its own: LeCun et al. 1998, equations 18 and 21.
void sdlm(const Optimizer& optimizer, float rate, std::size_t count,
          const float* __restrict gradient, float* __restrict parameters,
          const float* __restrict curvature) {
    for (std::size_t k = 0; k < count; ++k)
        parameters[k] -= rate / (optimizer.floor + curvature[k]) * gradient[k];
}

// The exponential moving average.  Its decay grows to what was asked for, (1 + t) / (10 + t) after t
// updates, so that the first weights are soon forgotten: as TensorFlow's ExponentialMovingAverage does it
// with `num_updates`.
void average(double decay, std::int64_t updates, std::size_t count, const float* __restrict parameters,
             float* __restrict mean) {
    const auto steps = static_cast<double>(updates);
    const double young = (1.0 + steps) / (10.0 + steps);
    const auto share = static_cast<float>(1.0 - (young < decay ? young : decay));
    for (std::size_t k = 0; k < count; ++k) mean[k] += share * (parameters[k] - mean[k]);
}

double gradient_square(const Update& update, std::size_t begin, std::size_t count, const float* gradient) {
    double sum[8] = {}; // chains of additions, none of which waits for another
    for (std::size_t k = 0; k < count; ++k) {
        const float masked = update.mask == nullptr ? gradient[k] : gradient[k] * update.mask[begin + k];
        sum[k % 8] += static_cast<double>(masked) * static_cast<double>(masked);
    }
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void update(const Update& update, std::size_t begin, std::size_t count, float* gradient) {
    prepare_gradient(update, begin, count, gradient);
    if (update.optimizer.sdlm)
        sdlm(update.optimizer, static_cast<float>(update.learning_rate), count, gradient,
             update.parameters + begin, update.first + begin);
    else if (update.optimizer.adamw)
        adamw(update.optimizer, update.learning_rate, update.count, count, gradient,
              update.parameters + begin, update.first + begin, update.second + begin);
    else
        sgd(update.optimizer, static_cast<float>(update.learning_rate), update.count > 1, count, gradient,
            update.parameters + begin, update.first + begin);
    if (update.average != nullptr)
        average(update.optimizer.averaging, update.count, count, update.parameters + begin,
                update.average + begin);
}

} // namespace
