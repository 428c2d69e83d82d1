// The engine's turns, its room, and how a batch is shared out over threads.

#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

namespace lenet {

namespace {

constexpr std::size_t maximum_shards = 8;
constexpr int dense_rows = 24; // outputs of a dense layer whose gradient is one task
constexpr std::size_t few_images = 4; // up to here one image at a time is quicker

// Which the kernels for one image with its lanes over maps and columns do not know.
bool has_units_of_1998(const Network& network) {
    return std::any_of(network.layers, network.layers + network.count, [](const Layer& layer) {
        return layer.kind == Kind::subsampling || layer.kind == Kind::radial_basis;
    });
}

std::size_t convolution_parameters(const Network& network) {
    return network.spatial < network.count ? network.layers[network.spatial].weight
                                           : network.parameters;
}

} // namespace

std::vector<const Backend*> usable_backends() {
    std::vector<const Backend*> usable;
#define LENET_BACKEND(name, can_run) \
    if (can_run) usable.push_back(&backend_##name);
#include "backends.inc"
#undef LENET_BACKEND
    return usable;
}

const Backend* find_backend(std::string_view name) {
    for (const Backend* backend : usable_backends())
        if (backend->name == name) return backend;
    return nullptr;
}

double measure_peak(const Backend& backend, double seconds) {
    using Clock = std::chrono::steady_clock;
    const auto elapsed = [](Clock::time_point from) {
        return std::chrono::duration<double>(Clock::now() - from).count();
    };
    double fastest = 0.0;
    const auto start = Clock::now();
    do {
        const auto burst = Clock::now();
        const auto done = static_cast<double>(backend.multiply_add(10000));
        fastest = std::max(fastest, done / elapsed(burst));
    } while (elapsed(start) < seconds);
    return fastest;
}

void* Workspace::data() {
    const auto address = reinterpret_cast<std::uintptr_t>(block_.data());
    return block_.data() + (64 - address % 64) % 64;
}

Engine::Engine(const Network& network, const Backend& backend, const Optimizer& optimizer,
               std::vector<float> start, std::vector<float> mask, int threads)
    : network_(network), backend_(backend), optimizer_(optimizer), mask_(std::move(mask)),
      pool_(threads), gradient_(network.parameters),
      shard_gradients_(maximum_shards, std::vector<float>(convolution_parameters(network))) {
    for (int thread = 0; thread < pool_.threads(); ++thread)
        workspaces_.emplace_back(backend.workspace_bytes(network));
    state_.parameters = std::move(start);
    state_.first.resize(network.parameters);
    if (optimizer.adamw) state_.second.resize(network.parameters);
    for (int k = network.spatial; k < network.count; ++k) {
        if (network.layers[k].kind == Kind::radial_basis) continue;
        const int outputs = network.layers[k].output.size();
        for (int first = 0; first < outputs; first += dense_rows)
            dense_tasks_.push_back({k, first, std::min(first + dense_rows, outputs)});
    }
}

Engine::State Engine::state() {
    const std::lock_guard turn(turn_);
    settle();
    return state_;
}

void Engine::restore(State state) {
    const std::lock_guard turn(turn_);
    if (state.parameters.size() != state_.parameters.size() ||
        state.first.size() != state_.first.size() || state.second.size() != state_.second.size() ||
        state.updates < 0)
        throw std::invalid_argument("this state is not one of this network and optimizer");
    state_ = std::move(state);
    behind_ = false;
    forget();
}

void Engine::forget() {
    packed_.clear();
    transformed_.clear();
    pattern_.clear();
    rates_.clear();
}

void* Engine::one_workspace() {
    if (pattern_room_ == nullptr)
        pattern_room_ = std::make_unique<Workspace>(backend_.pattern_bytes(network_));
    return pattern_room_->data();
}

const float* Engine::pattern() {
    if (pattern_.empty()) {
        std::vector<float> packed(backend_.pattern_floats(network_));
        backend_.pack_pattern(network_, state_.parameters.data(), packed.data());
        pattern_ = std::move(packed);
    }
    return pattern_.data();
}

void Engine::settle() {
    if (!behind_) return;
    backend_.unpack_pattern(network_, pattern_.data(), state_.parameters.data());
    behind_ = false;
    packed_.clear();
    transformed_.clear();
}

void Engine::make_rates(double learning_rate) {
    std::vector<float> plain(network_.parameters), packed(backend_.pattern_floats(network_));
    const auto rate = static_cast<float>(learning_rate);
    for (std::size_t k = 0; k < network_.trained; ++k)
        plain[k] = rate / (optimizer_.floor + state_.first[k]) * (mask_.empty() ? 1.0f : mask_[k]);
    backend_.pack_pattern(network_, plain.data(), packed.data());
    rates_ = std::move(packed);
    rate_ = learning_rate;
}

Totals Engine::learn_pattern(const Images& images, double learning_rate) {
    pattern();
    if (rates_.empty() || rate_ != learning_rate) make_rates(learning_rate);
    const auto size = static_cast<std::size_t>(network_.pixels().size());
    const std::size_t image = images.index(0);
    void* room = one_workspace();
    behind_ = true;
    ++state_.updates;
    return backend_.learn_pattern(network_, pattern_.data(), rates_.data(), optimizer_.loss,
                                  images.pixels + image * size,
                                  static_cast<int>(images.labels[image]), room);
}

std::vector<float> Engine::curvature(const Images& images, std::size_t count) {
    const std::lock_guard turn(turn_);
    settle();
    const float* packed = pattern();
    std::vector<float> squares(pattern_), sums(pattern_.size()), mean(network_.parameters);
    for (float& weight : squares) weight *= weight;
    const auto size = static_cast<std::size_t>(network_.pixels().size());
    void* room = one_workspace();
    for (std::size_t n = 0; n < count; ++n)
        backend_.curve_pattern(network_, packed, squares.data(),
                               images.pixels + images.index(n) * size, sums.data(), room);
    backend_.unpack_pattern(network_, sums.data(), mean.data());
    const float share = 1.0f / static_cast<float>(count);
    for (std::size_t k = 0; k < mean.size(); ++k)
        mean[k] *= k < mask_.size() ? share * mask_[k] : share;
    if (optimizer_.sdlm) {
        state_.first = mean;
        rates_.clear();
    }
    return mean;
}

Weights Engine::weights() {
    if (transformed_.empty()) {
        transformed_.resize(backend_.transformed_floats(network_));
        backend_.transform(network_, state_.parameters.data(), transformed_.data());
    }
    return {state_.parameters.data(), transformed_.data()};
}

// Room for the dense layers' side of a batch of `count`; it only ever grows.  Throws std::bad_alloc,
// and then there is none.
void Engine::make_room(std::size_t count) {
    if (count <= batch_.capacity) return;
    batch_ = {};
    room_.reset(); // before the new one, which need not fit beside it
    const auto group = static_cast<std::size_t>(backend_.group);
    const std::size_t capacity = (count + group - 1) / group * group;
    std::size_t floats = 0;
    const auto part = [&floats](std::size_t size) {
        const std::size_t start = floats;
        floats += (size + 15) / 16 * 16;
        return start;
    };
    std::size_t features[maximum_layers], flow[maximum_layers];
    for (int k = network_.spatial; k < network_.count; ++k) {
        const Layer& layer = network_.layers[k];
        features[k] = part(backend_.feature_floats(layer, capacity));
        flow[k] = part(static_cast<std::size_t>(layer.output.size()) * capacity);
    }
    room_ = std::make_unique<Workspace>(floats * sizeof(float));
    auto* start = static_cast<float*>(room_->data());
    for (int k = network_.spatial; k < network_.count; ++k) {
        batch_.features[k] = start + features[k];
        batch_.flow[k] = start + flow[k];
    }
    batch_.capacity = capacity;
}

// The mean gradient into `gradient_`.  Shards are whole groups in a fixed order with a gradient each,
// and a dense layer's row is summed by one thread, so that neither the number of threads nor their
// order changes a byte.
Totals Engine::accumulate(const Images& images, std::size_t count) {
    make_room(count);
    const auto group = static_cast<std::size_t>(backend_.group);
    const std::size_t groups = (count + group - 1) / group;
    const std::size_t shards = std::min(maximum_shards, groups);
    Totals totals[maximum_shards];
    const Weights weights = this->weights();
    pool_.run(static_cast<int>(shards), [&](int number, int thread) {
        const auto shard = static_cast<std::size_t>(number);
        const std::size_t begin = shard * groups / shards * group;
        const std::size_t end = std::min(count, (shard + 1) * groups / shards * group);
        totals[shard] = backend_.train(network_, weights, images, begin, end, count,
                                       optimizer_.loss, batch_,
                                       shard_gradients_[shard].data(),
                                       workspaces_[static_cast<std::size_t>(thread)].data());
    });
    pool_.run(static_cast<int>(dense_tasks_.size()), [&](int number, int) {
        const auto [k, first, last] = dense_tasks_[static_cast<std::size_t>(number)];
        backend_.dense_gradient(network_.layers[k], first, last, count, batch_.features[k],
                                batch_.flow[k], batch_.capacity, gradient_.data());
    });
    std::copy(shard_gradients_[0].begin(), shard_gradients_[0].end(), gradient_.begin());
    Totals sum = totals[0];
    for (std::size_t shard = 1; shard < shards; ++shard) {
        for (std::size_t k = 0; k < shard_gradients_[shard].size(); ++k)
            gradient_[k] += shard_gradients_[shard][k];
        sum.loss += totals[shard].loss;
        sum.misses += totals[shard].misses;
    }
    sum.loss /= static_cast<double>(count);
    return sum;
}

Totals Engine::step(const Images& images, std::size_t count, double learning_rate) {
    const std::lock_guard turn(turn_);
    if (optimizer_.sdlm && count == 1) return learn_pattern(images, learning_rate);
    settle();
    const Totals totals = accumulate(images, count);
    const std::int64_t updates = state_.updates + 1;
    const Update update{optimizer_,
                        gradient_.data(),
                        mask_.empty() ? nullptr : mask_.data(),
                        state_.parameters.data(),
                        state_.first.data(),
                        state_.second.data(),
                        updates,
                        learning_rate};
    const std::size_t blocks = (network_.trained + update_block - 1) / update_block;
    pool_.run(static_cast<int>(blocks), [&](int number, int) {
        const std::size_t begin = static_cast<std::size_t>(number) * update_block;
        backend_.update(update, begin, std::min(begin + update_block, network_.trained));
    });
    state_.updates = updates;
    forget();
    return totals;
}

Totals Engine::gradient(const Images& images, std::size_t count, std::vector<float>& gradient) {
    const std::lock_guard turn(turn_);
    settle();
    const Totals totals = accumulate(images, count);
    gradient = gradient_;
    for (std::size_t k = 0; k < mask_.size(); ++k) gradient[k] *= mask_[k];
    return totals;
}

void Engine::infer(const Images& images, std::size_t count, float* logits) {
    const std::lock_guard turn(turn_);
    settle();
    if (count <= few_images && has_units_of_1998(network_)) {
        const auto size = static_cast<std::size_t>(network_.pixels().size());
        const auto classes = static_cast<std::size_t>(network_.classes());
        void* room = one_workspace();
        for (std::size_t n = 0; n < count; ++n)
            backend_.answer_pattern(network_, pattern(), images.pixels + images.index(n) * size,
                                    logits + n * classes, room);
        return;
    }
    if (count <= few_images) {
        if (single_ == nullptr)
            single_ = std::make_unique<Workspace>(backend_.workspace_bytes(network_));
        if (packed_.empty()) {
            packed_.resize(backend_.packed_floats(network_));
            backend_.pack(network_, state_.parameters.data(), packed_.data());
        }
        const auto size = static_cast<std::size_t>(network_.pixels().size());
        const auto classes = static_cast<std::size_t>(network_.classes());
        for (std::size_t n = 0; n < count; ++n)
            backend_.infer_one(network_, packed_.data(), images.pixels + images.index(n) * size,
                               logits + n * classes, single_->data());
        return;
    }
    const Weights weights = this->weights();
    const std::size_t block = static_cast<std::size_t>(backend_.group) * 2;
    const std::size_t blocks = (count + block - 1) / block;
    pool_.run(static_cast<int>(blocks), [&](int number, int thread) {
        const std::size_t begin = static_cast<std::size_t>(number) * block;
        backend_.infer(network_, weights, images, begin, std::min(begin + block, count), logits,
                       workspaces_[static_cast<std::size_t>(thread)].data());
    });
}

void Engine::watch(const Images& images, std::size_t count, float* const* outputs) {
    const std::lock_guard turn(turn_);
    settle();
    backend_.watch(network_, weights(), images, 0, count, outputs, workspaces_[0].data());
}

} // namespace lenet
