// A network with its parameters and optimizer: steps and answers, on a pool of threads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "backend.hpp"
#include "pool.hpp"
#include "turn.hpp"

namespace lenet {

// The backends that this processor can run, best first.
std::vector<const Backend*> usable_backends();

// The one of this name among them, or null.
const Backend* find_backend(std::string_view name);

// Multiply-adds a second that one core does from registers alone: the fastest of the bursts that fit
// into `seconds`, each shorter than a time slice of the system.
double measure_peak(const Backend& backend, double seconds);

// Zeroed bytes at an address that any vector may have.
class Workspace {
public:
    explicit Workspace(std::size_t bytes) : block_(bytes + 64, 0) {}
    void* data();

private:
    std::vector<unsigned char> block_;
};

// One caller at a time: what may be called from several threads waits for its turn, and so does a
// fork.  What throws (std::bad_alloc, or std::system_error where a forked child gets no threads)
// leaves an engine that goes on as if it had not been called.
class Engine {
public:
    // `augmentation` is of the images of a step; `kernel` is what it smooths with.
    Engine(const Network& network, const Backend& backend, const Optimizer& optimizer,
           std::vector<float> parameters, std::vector<float> mask, int threads,
           const Augmentation& augmentation = {}, std::vector<std::int32_t> kernel = {});

    // One update on the images at positions [0, count), as they are in `epoch`; the result is the same
    // bytes for any number of threads.
    Totals step(const Images& images, std::size_t count, double learning_rate, std::int64_t epoch);

    // Pixels of the images as such a step sees them.
    void see(const Images& images, std::size_t count, std::int64_t epoch, std::uint8_t* pixels);

    // The mean second derivatives of Gauss and Newton over the images, without what couples them (LeCun
    // et al. 1998, appendix C); sdlm goes by the last ones.
    std::vector<float> curvature(const Images& images, std::size_t count);

    // Loss, misses and mean gradient without an update.
    Totals gradient(const Images& images, std::size_t count, std::vector<float>& gradient);

    void infer(const Images& images, std::size_t count, float* logits);
    void watch(const Images& images, std::size_t count, float* const* outputs);

    const Network& network() const { return network_; }
    const Backend& backend() const { return backend_; }
    int threads() const { return pool_.threads(); }

    // Parameters and the optimizer's slots: momentum or curvature and nothing, or AdamW's two moments;
    // and the average of the parameters, or nothing.
    struct State {
        std::vector<float> parameters, first, second, average;
        std::int64_t updates = 0;
    };
    State state();
    // Throws std::invalid_argument if the sizes do not fit.
    void restore(State state);

private:
    // Parameters [begin, end) of the convolutions, or outputs [begin, end) of a dense layer.
    struct Task {
        int layer; // or -1
        std::size_t begin, end;
    };

    // How a batch is shared out: its first `whole` images go in groups, these in shards, and `few` one by
    // one.
    struct Shares {
        std::size_t whole, groups, shards, few;

        std::size_t all() const { return shards + few; }
    };

    // What is done with the gradient of parameters [begin, begin + count), which it may overwrite.
    using Use = std::function<void(std::size_t begin, std::size_t count, float* gradient)>;

    // What the kernels read of some parameters, made when it is asked for.
    struct Prepared {
        std::vector<float> transformed, packed, spatial; // empty where they are to be made anew

        void forget();
    };

    const std::vector<float>& answering() const; // the parameters that give answers
    void make_room(std::size_t count);
    Shares share_out(std::size_t count) const;
    bool descends(const Shares& shares) const;
    Weights prepare(const Shares& shares);
    Totals run_shards(const Images& images, std::size_t count, const Shares& shares, const Descent* descent);
    Totals accumulate(const Images& images, std::size_t count, const Use& use,
                      std::optional<float> rate = std::nullopt);
    void sum_gradient(const Task& task, std::size_t shards, std::size_t count, float* room, const Use& use);
    void keep(std::size_t begin, std::size_t count, const float* gradient);
    const float* transformed(const std::vector<float>& parameters, Prepared& prepared);
    Augmentation augmentation_in(std::int64_t epoch) const;
    Update next_update(double learning_rate);
    template <typename Body> void for_blocks(Body body);
    float clipping(const Update& update);
    void forget(); // what was made of the parameters
    void* pattern_workspace();
    const float* pattern(); // the parameters, packed
    void settle();          // brings the parameters up to where learning by patterns has come
    Totals learn_pattern(const Images& images, double learning_rate);
    void make_rates(double learning_rate);

    Turn turn_;
    Network network_;
    const Backend& backend_;
    Optimizer optimizer_;
    std::vector<float> mask_; // empty, or 0 where a connection table has no weight
    Augmentation augmentation_;
    std::vector<std::int32_t> kernel_;
    Pool pool_;
    State state_;
    std::vector<Workspace> workspaces_;
    std::vector<Workspace> one_workspaces_; // of steps image by image
    std::unique_ptr<Workspace> single_;
    std::unique_ptr<Workspace> pattern_workspace_;
    std::vector<float> pattern_; // the parameters packed for patterns; empty where they are not
    std::vector<float> rates_;   // of each of them, for `rate_`; empty where they are to be made anew
    double rate_ = 0.0;
    bool behind_ = false; // whether the parameters have yet to be unpacked from there
    Prepared training_, answers_;
    std::vector<float> gradient_;
    std::vector<std::vector<float>> shard_gradients_; // of the convolutions
    std::vector<Task> tasks_;                         // all parameters
    std::vector<std::vector<float>> parts_;           // a thread's part of the gradient
    Batch batch_;
    std::unique_ptr<Workspace> room_; // what `batch_` points into
};

} // namespace lenet
