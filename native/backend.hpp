// One compiled copy of the vector kernels: the same source for each instruction set.
#pragma once

#include "network.hpp"

namespace lenet {

// What a shard of a batch adds up to.
struct Totals {
    double loss = 0.0;
    std::int64_t misses = 0;

    LENET_INLINE Totals& operator+=(const Totals& other) {
        loss += other.loss;
        misses += other.misses;
        return *this;
    }
};

// What the dense layers of a whole batch leave behind for their weights' gradient, by layer.
struct Batch {
    std::size_t capacity = 0; // images that there is room for, a multiple of the group
    float* features[maximum_layers] = {};
    float* flow[maximum_layers] = {}; // (outputs, capacity)
};

// What the kernels read of a network's parameters: the parameters, and the weights of some
// convolutions transformed, as `transform` made them, or packed for one image.  Null where no kernel
// will ask.
struct Weights {
    const float* plain;
    const float* transformed;
    const float* packed; // as `pack_spatial` made them
};

// Plain SGD of a dense layer, done as its weights are read on the way back.
struct Descent {
    float* parameters;
    float rate;
};

struct Optimizer {
    bool adamw = false;
    float momentum = 0.0f;
    bool nesterov = false;
    float weight_decay = 0.0f;
    double beta1 = 0.9;
    double beta2 = 0.999;
    float epsilon = 1e-8f;
    Loss loss;
    bool sdlm = false; // `first` is the curvature, and a step is divided by it and `floor`
    float floor = 0.02f;
    double averaging = 0.0; // decay of the average of the parameters; 0 keeps none
    double clip_norm = 0.0; // the largest norm of a gradient; 0 is any
};

// Everything that one update of the parameters reads and writes.
struct Update {
    const Optimizer& optimizer;
    const float* mask; // null, or 0 where a connection table has no weight
    float scale;       // of the gradient
    float* parameters;
    float* first;       // SGD's momentum, AdamW's first moment, or the curvature
    float* second;      // AdamW's second moment
    float* average;     // null, or the exponential moving average of the parameters
    std::int64_t count; // updates so far, this one included
    double learning_rate;
};

constexpr std::size_t maximum_few = 16; // `few` of any backend

struct Backend {
    const char* name;
    int lanes;
    int group; // images that are computed together; shards are multiples of it
    int few;   // up to so many images that fill no vector are quicker one by one, one fewer beside groups

    // Bytes of one thread's workspace; it must begin zeroed and aligned to 64.
    std::size_t (*workspace_bytes)(const Network&);

    // Floats that `features` of a dense layer needs for a batch of `capacity`.
    std::size_t (*feature_floats)(const Layer&, std::size_t capacity);

    // `transformed_floats` are made by `transform` whenever the parameters change.
    std::size_t (*transformed_floats)(const Network&);
    void (*transform)(const Network&, const float* parameters, float* transformed);

    // Forward and backward for the images at positions [begin, end) of a batch of `batch`; `begin`
    // is a multiple of `group`.  Overwrites the convolutions' part of `gradient` with the shard's
    // part of the mean gradient, and leaves in `store` what the dense layers' part needs.
    Totals (*train)(const Network&, const Weights&, const Images&, std::size_t begin, std::size_t end,
                    std::size_t batch, const Loss& loss, const Batch& store, float* gradient,
                    void* workspace);

    // Pixels of the first `count` images, as a step sees them.
    void (*see)(const Network&, const Images&, std::size_t count, std::uint8_t* to, void* workspace);

    // As `train` for at most `few` images, each in a workspace of its own kind and with a gradient of its
    // own.  `forward_one` takes the image at `position` through the layers that see a picture, `train_flat`
    // those at `position` and behind it together through the others and back, and `backward_one` each
    // through the first ones again.  The weights of those are packed by `pack_spatial` whenever the
    // parameters change; the room must begin zeroed.  With a `descent` dense layers go down at once, and
    // leave nothing in `store`.
    std::size_t (*one_workspace_bytes)(const Network&);
    std::size_t (*spatial_floats)(const Network&);
    void (*pack_spatial)(const Network&, const float* parameters, float* packed);
    void (*forward_one)(const Network&, const Weights&, const Images&, std::size_t position, void* workspace);
    Totals (*train_flat)(const Network&, const Weights&, const Images&, std::size_t position, int count,
                         std::size_t batch, const Loss& loss, const Batch& store, const Descent* descent,
                         void* const* workspaces, float* const* gradients);
    void (*backward_one)(const Network&, const Weights&, float* gradient, void* workspace);

    // Overwrites the gradient of outputs [first, last) of a dense layer, from `count` images; the first
    // of them is the first in both gradients.
    void (*dense_gradient)(const Layer&, int first, int last, std::size_t count, const float* features,
                           const float* flow, std::size_t capacity, float* weight_gradient,
                           float* bias_gradient);

    // The sum of the squares of the gradient of parameters [begin, begin + count), without what the
    // mask takes out.
    double (*gradient_square)(const Update&, std::size_t begin, std::size_t count, const float* gradient);

    // Updates parameters [begin, begin + count); `gradient` is of these, and is overwritten.
    void (*update)(const Update&, std::size_t begin, std::size_t count, float* gradient);

    // Logits (n, classes) of the images at positions [begin, end).
    void (*infer)(const Network&, const Weights&, const Images&, std::size_t begin, std::size_t end,
                  float* logits, void* workspace);

    // Activations of every layer, each (n, channels, rows, columns).
    void (*watch)(const Network&, const Weights&, const Images&, std::size_t begin, std::size_t end,
                  float* const* outputs, void* workspace);

    // One image with its lanes over maps, for the latency of a single answer.  `packed` holds
    // `packed_floats` and is made by `pack` whenever the parameters change.
    std::size_t (*packed_floats)(const Network&);
    void (*pack)(const Network&, const float* parameters, float* packed);
    void (*infer_one)(const Network&, const float* packed, const std::uint8_t* pixels, float* logits,
                      void* workspace);

    // Learning pattern by pattern.  The parameters are `pattern_floats` packed ones, which a step
    // changes where they are; so are `rates`, each weight's own and 0 for what is no weight, and
    // the sums of second derivatives, for which the squares of the weights are needed too.
    std::size_t (*pattern_bytes)(const Network&);
    std::size_t (*pattern_floats)(const Network&);
    void (*pack_pattern)(const Network&, const float* plain, float* packed);
    void (*unpack_pattern)(const Network&, const float* packed, float* plain);
    void (*answer_pattern)(const Network&, const float* packed, const std::uint8_t* pixels,
                           float* logits, void* workspace);
    Totals (*learn_pattern)(const Network&, float* packed, const float* rates, const Loss& loss,
                            const Images&, std::size_t image, void* workspace);
    void (*curve_pattern)(const Network&, const float* packed, const float* squares,
                          const std::uint8_t* pixels, float* curvature, void* workspace);

    // e^x, sigmoid and tanh of `count` numbers, for the tests.
    void (*functions)(const float* x, std::size_t count, float* exponential, float* sigmoid, float* tanh);

    // Multiply-adds from registers alone, as many at a time as the core can have under way; returns
    // how many single ones they were.
    std::int64_t (*multiply_add)(int rounds);
};

// Those that were compiled, best first; the build writes the list.
#define LENET_BACKEND(name, can_run) extern const Backend backend_##name;
#include "backends.inc"
#undef LENET_BACKEND

} // namespace lenet
