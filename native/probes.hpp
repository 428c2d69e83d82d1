// What tests and benchmarks ask of an instruction set: its functions, and its peak.
#pragma once

#include "vector.hpp"

namespace {

void functions(const float* x, std::size_t count, float* e, float* s, float* t) {
    for (std::size_t k = 0; k < count; ++k) {
        e[k] = exponential(splat(x[k]))[0];
        s[k] = sigmoid(splat(x[k]))[0];
        t[k] = hyperbolic_tangent(splat(x[k]))[0];
    }
}

std::int64_t multiply_add(int rounds) {
    constexpr int chains = 12;
    V sum[chains];
#pragma GCC unroll 16
    for (int c = 0; c < chains; ++c) sum[c] = splat(static_cast<float>(c));
    V factor = splat(0.999f), term = splat(0.001f);
    compute_here(factor);
    compute_here(term);
    for (int round = 0; round < rounds; ++round)
#pragma GCC unroll 16
        for (int c = 0; c < chains; ++c) {
            sum[c] = sum[c] * factor + term;
            compute_here(sum[c]);
        }
    return static_cast<std::int64_t>(rounds) * chains * lanes;
}

} // namespace
