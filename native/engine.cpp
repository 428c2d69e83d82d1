// The engine's turns, its room, and how a batch is shared out over threads.

#include "engine.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <stdexcept>

namespace lenet {

namespace {

constexpr std::size_t maximum_shards = 32;
constexpr std::size_t dense_rows = 12;     // outputs of a dense layer whose gradient is one task
constexpr std::size_t update_block = 2048; // parameters of the convolutions, likewise
constexpr std::size_t few_answers = 4;     // up to here one image at a time is quicker

// Which the kernels for one image with its lanes over maps and columns do not know.
bool has_units_of_1998(const Network& network) {
    return std::any_of(network.layers, network.layers + network.count, [](const Layer& layer) {
        return layer.kind == Kind::subsampling || layer.kind == Kind::radial_basis;
    });
}

std::size_t convolution_parameters(const Network& network) {
    return network.spatial < network.count ? network.layers[network.spatial].weight : network.parameters;
}

} // namespace

std::vector<const Backend*> usable_backends() {
    std::vector<const Backend*> usable;
#define LENET_BACKEND(name, can_run)                                                                       \
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
               std::vector<float> start, std::vector<float> mask, int threads,
               const Augmentation& augmentation, std::vector<std::int32_t> kernel)
    : network_(network), backend_(backend), optimizer_(optimizer), mask_(std::move(mask)),
      augmentation_(augmentation), kernel_(std::move(kernel)), pool_(threads),
      gradient_(network.parameters) {
    for (int thread = 0; thread < pool_.threads(); ++thread)
        workspaces_.emplace_back(backend.workspace_bytes(network));
    state_.parameters = std::move(start);
    state_.first.resize(network.parameters);
    if (optimizer.adamw) state_.second.resize(network.parameters);
    if (optimizer.averaging > 0.0) state_.average = state_.parameters;
    const std::size_t convolutions = convolution_parameters(network);
    std::size_t part = update_block;
    for (int k = network.spatial; k < network.count; ++k) {
        if (network.layers[k].kind == Kind::radial_basis) continue;
        const auto outputs = static_cast<std::size_t>(network.layers[k].output.size());
        const auto inputs = static_cast<std::size_t>(network.layers[k].input.size());
        part = std::max(part, dense_rows * (inputs + 1));
        for (std::size_t first = 0; first < outputs; first += dense_rows)
            tasks_.push_back({k, first, std::min(first + dense_rows, outputs)});
    }
    parts_.assign(workspaces_.size(), std::vector<float>(part));
    for (std::size_t begin = 0; begin < convolutions; begin += update_block)
        tasks_.push_back({-1, begin, std::min(begin + update_block, convolutions)});
}

Engine::State Engine::state() {
    const std::lock_guard turn(turn_);
    settle();
    return state_;
}

void Engine::restore(State state) {
    const std::lock_guard turn(turn_);
    if (state.parameters.size() != state_.parameters.size() || state.first.size() != state_.first.size() ||
        state.second.size() != state_.second.size() || state.average.size() != state_.average.size() ||
        state.updates < 0)
        throw std::invalid_argument("this state is not one of this network and optimizer");
    state_ = std::move(state);
    behind_ = false;
    forget();
}

void* Engine::pattern_workspace() {
    if (pattern_workspace_ == nullptr)
        pattern_workspace_ = std::make_unique<Workspace>(backend_.pattern_bytes(network_));
    return pattern_workspace_->data();
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
    training_.forget();
    answers_.forget();
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
    void* room = pattern_workspace();
    behind_ = true;
    ++state_.updates;
    return backend_.learn_pattern(network_, pattern_.data(), rates_.data(), optimizer_.loss,
                                  images, images.index(0), room);
}

std::vector<float> Engine::curvature(const Images& images, std::size_t count) {
    const std::lock_guard turn(turn_);
    settle();
    const float* packed = pattern();
    std::vector<float> squares(pattern_), sums(pattern_.size()), mean(network_.parameters);
    for (float& weight : squares) weight *= weight;
    const auto size = static_cast<std::size_t>(network_.pixels().size());
    void* room = pattern_workspace();
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

void Engine::Prepared::forget() {
    transformed.clear();
    packed.clear();
    spatial.clear();
}

void Engine::forget() {
    training_.forget();
    answers_.forget();
    pattern_.clear();
    rates_.clear();
}

const std::vector<float>& Engine::answering() const {
    return state_.average.empty() ? state_.parameters : state_.average;
}

const float* Engine::transformed(const std::vector<float>& parameters, Prepared& prepared) {
    if (prepared.transformed.empty()) {
        prepared.transformed.resize(backend_.transformed_floats(network_));
        backend_.transform(network_, parameters.data(), prepared.transformed.data());
    }
    return prepared.transformed.data();
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

// The part of the gradient that a task is for, made in `room`, and used while it is in the nearest cache.
void Engine::sum_gradient(const Task& task, std::size_t shards, std::size_t count, float* room,
                          const Use& use) {
    const std::size_t size = task.end - task.begin;
    if (task.layer >= 0) {
        const Layer& layer = network_.layers[task.layer];
        const auto inputs = static_cast<std::size_t>(layer.input.size());
        backend_.dense_gradient(layer, static_cast<int>(task.begin), static_cast<int>(task.end), count,
                                batch_.features[task.layer], batch_.flow[task.layer], batch_.capacity, room,
                                room + size * inputs);
        use(layer.weight + task.begin * inputs, size * inputs, room);
        use(layer.bias + task.begin, size, room + size * inputs);
        return;
    }
    const float* first = shard_gradients_[0].data() + task.begin;
    std::copy(first, first + size, room);
    for (std::size_t shard = 1; shard < shards; ++shard) {
        const float* part = shard_gradients_[shard].data() + task.begin;
        for (std::size_t k = 0; k < size; ++k) room[k] += part[k];
    }
    use(task.begin, size, room);
}

// Shards are whole groups in a fixed order with a gradient each; a few images that would not fill a vector
// are shards of their own, behind them.
Engine::Shares Engine::share_out(std::size_t count) const {
    const auto group = static_cast<std::size_t>(backend_.group);
    const std::size_t rest = count % static_cast<std::size_t>(backend_.lanes);
    // Beside groups they are slower: no dense layer descends as it is read.
    const std::size_t few = static_cast<std::size_t>(backend_.few) - (count > rest ? 1 : 0);
    Shares shares;
    shares.few = rest <= few && !has_units_of_1998(network_) ? rest : 0;
    shares.whole = count - shares.few;
    shares.groups = (shares.whole + group - 1) / group;
    shares.shards = std::min(maximum_shards, shares.groups);
    return shares;
}

// Whether a step is plain SGD of so few images that a dense layer's gradient need not be kept.
bool Engine::descends(const Shares& shares) const {
    return shares.shards == 0 && !optimizer_.adamw && !optimizer_.sdlm && optimizer_.momentum == 0.0f &&
           optimizer_.weight_decay == 0.0f && optimizer_.clip_norm == 0.0 && state_.average.empty();
}

Weights Engine::prepare(const Shares& shares) {
    Weights weights{state_.parameters.data(), nullptr, nullptr};
    while (shard_gradients_.size() < shares.all())
        shard_gradients_.emplace_back(convolution_parameters(network_));
    while (one_workspaces_.size() < shares.few)
        one_workspaces_.emplace_back(backend_.one_workspace_bytes(network_));
    if (shares.shards > 0) weights.transformed = transformed(state_.parameters, training_);
    if (shares.few > 0) {
        training_.spatial.resize(backend_.spatial_floats(network_));
        backend_.pack_spatial(network_, weights.plain, training_.spatial.data());
        weights.packed = training_.spatial.data();
    }
    return weights;
}

// Forward and backward for all images; a few are only half done by the shards' round.
Totals Engine::run_shards(const Images& images, std::size_t count, const Shares& shares,
                          const Descent* descent) {
    const Weights weights = prepare(shares);
    const auto group = static_cast<std::size_t>(backend_.group);
    std::vector<Totals> totals(shares.shards);
    pool_.run(static_cast<int>(shares.all()), [&](int number, int thread) {
        const auto shard = static_cast<std::size_t>(number);
        if (shard >= shares.shards) {
            const std::size_t one = shard - shares.shards;
            backend_.forward_one(network_, weights, images, shares.whole + one, one_workspaces_[one].data());
            return;
        }
        const std::size_t begin = shard * shares.groups / shares.shards * group;
        const std::size_t end = std::min(shares.whole, (shard + 1) * shares.groups / shares.shards * group);
        totals[shard] = backend_.train(network_, weights, images, begin, end, count, optimizer_.loss, batch_,
                                       shard_gradients_[shard].data(),
                                       workspaces_[static_cast<std::size_t>(thread)].data());
    });
    Totals sum;
    for (const Totals& part : totals) sum += part;
    if (shares.few == 0) return sum;
    void* rooms[maximum_few];
    float* gradients[maximum_few];
    for (std::size_t one = 0; one < shares.few; ++one) {
        rooms[one] = one_workspaces_[one].data();
        gradients[one] = shard_gradients_[shares.shards + one].data();
    }
    // Made before anything descends: from there on nothing may throw.
    const std::function<void(int, int)> back = [&](int one, int) {
        backend_.backward_one(network_, weights, gradients[one], rooms[one]);
    };
    sum += backend_.train_flat(network_, weights, images, shares.whole, static_cast<int>(shares.few), count,
                               optimizer_.loss, batch_, descent, rooms, gradients);
    pool_.run(static_cast<int>(shares.few), back);
    return sum;
}

// The mean gradient, part by part, and of each part what `use` makes of it; where the step `descends`, dense
// layers go down by `rate` instead.  A dense layer's row is summed by one thread, so that neither the number
// of threads nor their order changes a byte.
Totals Engine::accumulate(const Images& images, std::size_t count, const Use& use,
                          std::optional<float> rate) {
    make_room(count);
    const Shares shares = share_out(count);
    const bool descending = rate.has_value() && descends(shares);
    const Descent descent{state_.parameters.data(), rate.value_or(0.0f)};
    Totals sum = run_shards(images, count, shares, descending ? &descent : nullptr);
    const auto sum_one = [&](int number, int thread) {
        const Task& task = tasks_[static_cast<std::size_t>(number)];
        if (descending && task.layer >= 0) return;
        sum_gradient(task, shares.all(), count, parts_[static_cast<std::size_t>(thread)].data(), use);
    };
    // After one task the other threads sleep, and where dense layers have descended little is left: to
    // wake them costs more than they would save.
    if (shares.all() == 1 || descending)
        for (int number = 0; number < static_cast<int>(tasks_.size()); ++number) sum_one(number, 0);
    else
        pool_.run(static_cast<int>(tasks_.size()), sum_one);
    sum.loss /= static_cast<double>(count);
    return sum;
}

void Engine::keep(std::size_t begin, std::size_t count, const float* gradient) {
    std::copy(gradient, gradient + count, gradient_.begin() + static_cast<std::ptrdiff_t>(begin));
}

Update Engine::next_update(double learning_rate) {
    return {.optimizer = optimizer_,
            .mask = mask_.empty() ? nullptr : mask_.data(),
            .scale = 1.0f,
            .parameters = state_.parameters.data(),
            .first = state_.first.data(),
            .second = state_.second.data(),
            .average = state_.average.empty() ? nullptr : state_.average.data(),
            .count = state_.updates + 1,
            .learning_rate = learning_rate};
}

// Calls body(begin, count) for blocks of all parameters, on all threads.
template <typename Body> void Engine::for_blocks(Body body) {
    const std::size_t blocks = (network_.trained + update_block - 1) / update_block;
    pool_.run(static_cast<int>(blocks), [&](int number, int) {
        const std::size_t begin = static_cast<std::size_t>(number) * update_block;
        body(begin, std::min(update_block, network_.trained - begin));
    });
}

// What the gradient is multiplied by to be no longer than it may: as torch.nn.utils.clip_grad_norm_.
float Engine::clipping(const Update& update) {
    std::vector<double> squares(network_.parameters / update_block + 1);
    for_blocks([&](std::size_t begin, std::size_t count) {
        squares[begin / update_block] =
            backend_.gradient_square(update, begin, count, gradient_.data() + begin);
    });
    double sum = 0.0;
    for (const double square : squares) sum += square;
    return static_cast<float>(std::min(1.0, optimizer_.clip_norm / (std::sqrt(sum) + 1e-6)));
}

Augmentation Engine::augmentation_in(std::int64_t epoch) const {
    Augmentation numbers = augmentation_;
    numbers.kernel = kernel_.data();
    numbers.kernel_size = static_cast<int>(kernel_.size());
    numbers.epoch = epoch;
    return numbers;
}

void Engine::see(const Images& images, std::size_t count, std::int64_t epoch, std::uint8_t* pixels) {
    const std::lock_guard turn(turn_);
    const Augmentation numbers = augmentation_in(epoch);
    Images seen = images;
    if (!numbers.is_none()) seen.augmentation = &numbers;
    backend_.see(network_, seen, count, pixels, workspaces_[0].data());
}

Totals Engine::step(const Images& placed, std::size_t count, double learning_rate, std::int64_t epoch) {
    const std::lock_guard turn(turn_);
    const Augmentation numbers = augmentation_in(epoch);
    Images images = placed;
    if (!numbers.is_none()) images.augmentation = &numbers;
    const bool plain = numbers.is_none() && optimizer_.averaging == 0.0 && optimizer_.clip_norm == 0.0;
    if (optimizer_.sdlm && count == 1 && plain) return learn_pattern(images, learning_rate);
    settle();
    Update update = next_update(learning_rate);
    Totals totals;
    if (optimizer_.clip_norm > 0.0) { // all of it must be known first
        totals = accumulate(images, count, [&](auto... part) { keep(part...); });
        update.scale = clipping(update);
        for_blocks([&](std::size_t begin, std::size_t block) {
            backend_.update(update, begin, block, gradient_.data() + begin);
        });
    } else {
        totals = accumulate(images, count, [&](auto... part) { backend_.update(update, part...); },
                            static_cast<float>(learning_rate));
    }
    ++state_.updates;
    forget();
    return totals;
}

Totals Engine::gradient(const Images& images, std::size_t count, std::vector<float>& gradient) {
    const std::lock_guard turn(turn_);
    settle();
    const Totals totals = accumulate(images, count, [&](auto... part) { keep(part...); });
    gradient = gradient_;
    for (std::size_t k = 0; k < mask_.size(); ++k) gradient[k] *= mask_[k];
    return totals;
}

void Engine::infer(const Images& images, std::size_t count, float* logits) {
    const std::lock_guard turn(turn_);
    settle();
    const bool of_1998 = has_units_of_1998(network_);
    if (count <= few_answers && of_1998 && state_.average.empty()) {
        const auto size = static_cast<std::size_t>(network_.pixels().size());
        const auto classes = static_cast<std::size_t>(network_.classes());
        void* room = pattern_workspace();
        for (std::size_t n = 0; n < count; ++n)
            backend_.answer_pattern(network_, pattern(), images.pixels + images.index(n) * size,
                                    logits + n * classes, room);
        return;
    }
    if (count <= few_answers && !of_1998) {
        if (single_ == nullptr) single_ = std::make_unique<Workspace>(backend_.workspace_bytes(network_));
        std::vector<float>& packed = answers_.packed;
        if (packed.empty()) {
            packed.resize(backend_.packed_floats(network_));
            backend_.pack(network_, answering().data(), packed.data());
        }
        const auto size = static_cast<std::size_t>(network_.pixels().size());
        const auto classes = static_cast<std::size_t>(network_.classes());
        for (std::size_t n = 0; n < count; ++n)
            backend_.infer_one(network_, packed.data(), images.pixels + images.index(n) * size,
                               logits + n * classes, single_->data());
        return;
    }
    const Weights weights{answering().data(), transformed(answering(), answers_), nullptr};
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
    const Weights weights{answering().data(), transformed(answering(), answers_), nullptr};
    backend_.watch(network_, weights, images, 0, count, outputs, workspaces_[0].data());
}

} // namespace lenet
