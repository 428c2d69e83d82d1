// Numbers for the checks of kernels, and their comparison with those of the plain ones.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "network.hpp"
#include "vector.hpp"

namespace {

using lenet::Kind;
using lenet::Layer;
using lenet::Maps;
using lenet::check::Failures;

std::size_t at(int place) { return static_cast<std::size_t>(place); }

// One image a lane, or one plain array: the same numbers in both layouts.
struct Values {
    std::vector<V> lanewise;
    std::vector<std::vector<float>> images;

    explicit Values(int count) : lanewise(at(count)), images(at(lanes), std::vector<float>(at(count))) {}

    void set(int place, int lane, float value) {
        lanewise[at(place)][lane] = value;
        images[at(lane)][at(place)] = value;
    }
};

class Numbers {
public:
    explicit Numbers(bool whole) : whole_(whole) {}

    float next() {
        return whole_ ? static_cast<float>(static_cast<int>(generator_() % 7) - 3)
                      : static_cast<float>(generator_() % 20001) / 10000.0f - 1.0f;
    }

    std::vector<float> plain(int count) {
        std::vector<float> values(at(count));
        for (float& value : values) value = next();
        return values;
    }

    // Zeros on the border, as every kernel may expect of its input.
    Values maps(const Maps& maps) {
        Values values(maps.padded_size());
        for (int c = 0; c < maps.channels; ++c)
            for (int y = 0; y < maps.rows; ++y)
                for (int x = 0; x < maps.columns; ++x)
                    for (int lane = 0; lane < lanes; ++lane) values.set(maps.at(c, y, x), lane, next());
        return values;
    }

private:
    bool whole_;
    std::minstd_rand generator_{1};
};

class Comparison {
public:
    Comparison(std::string place, bool exact, Failures& failures)
        : place_(std::move(place)), exact_(exact), failures_(failures) {}

    void operator()(const char* what, const std::vector<V>& ours,
                    const std::vector<std::vector<float>>& plain) const {
        for (int lane = 0; lane < lanes; ++lane)
            for (std::size_t k = 0; k < ours.size(); ++k)
                if (!same(ours[k][lane], plain[at(lane)][k])) return fail(what, k, lane);
    }

    // Numbers of one image, or a gradient that our kernel sums over lanes.
    template <typename T>
    void sums(const char* what, const std::vector<float>& ours, const std::vector<T>& plain) const {
        for (std::size_t k = 0; k < ours.size(); ++k)
            if (!same(ours[k], static_cast<float>(plain[k]))) return fail(what, k, -1);
    }

private:
    bool same(float ours, float plain) const {
        if (exact_) return ours == plain;
        // Sums of up to 784 * 16 numbers below one, in another order.
        return std::fabs(ours - plain) <= 1e-4f * (1.0f + std::fabs(plain));
    }

    void fail(const char* what, std::size_t place, int lane) const {
        failures_.add(place_ + ": " + what + " differs at " + std::to_string(place) + ", lane " +
                      std::to_string(lane));
    }

    std::string place_;
    bool exact_;
    Failures& failures_;
};

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

std::vector<float> lane_sums(const std::vector<V>& values) {
    std::vector<float> sums;
    for (const V& value : values) sums.push_back(sum_lanes(value));
    return sums;
}

std::string shape(const char* kind, const Layer& layer) {
    return std::string(kind) + " " + std::to_string(layer.input.channels) + "x" +
           std::to_string(layer.input.rows) + "x" + std::to_string(layer.input.columns) + " to " +
           std::to_string(layer.output.channels) + " size " + std::to_string(layer.size) + " border " +
           std::to_string(layer.input.border) + "/" + std::to_string(layer.output.border);
}

Layer convolution(int inputs, int rows, int columns, int outputs, int size, int padding, int border) {
    Layer layer;
    layer.kind = Kind::convolution;
    layer.size = size;
    layer.input = Maps{inputs, rows, columns, padding};
    layer.output = Maps{outputs, rows + 2 * padding - size + 1, columns + 2 * padding - size + 1, border};
    return layer;
}

} // namespace
