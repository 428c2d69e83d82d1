// A shard of a batch forward and backward, and answers: compiled once for each instruction set.

#include "backend.hpp"
#include "convolution.hpp"
#include "dense.hpp"
#include "loss.hpp"
#include "minimal_gradient.hpp"
#if !defined(LENET_SERIAL) // a page shows no network of 1998
#include "pattern.hpp"
#endif
#include "pointwise.hpp"
#include "probes.hpp"
#include "single.hpp"
#include "single_step.hpp"
#include "subsampling.hpp"
#include "tile.hpp"
#include "update.hpp"

using lenet::Backend;
using lenet::Images;
using lenet::Network;
using lenet::Totals;
using lenet::Weights;

namespace {

// As std::swap, which the linker might take from a file with other instructions.
inline void exchange(V*& a, V*& b) {
    V* kept = a;
    a = b;
    b = kept;
}

const Layer* pooling_above(const Network& network, int k) {
    const bool pooled = k + 1 < network.spatial && network.layers[k].kind == Kind::convolution &&
                        is_pooling(network.layers[k + 1].kind);
    return pooled ? &network.layers[k + 1] : nullptr;
}

// Where the transformed weights of layer `k` begin, among those of all layers.
std::size_t transformed_before(const Network& network, int k) {
    std::size_t total = 0;
    for (int j = 0; j < k; ++j)
        if (is_minimal(network.layers[j])) total += transformed_floats(network.layers[j]);
    return total;
}

std::size_t transformed_floats(const Network& network) {
    return transformed_before(network, network.spatial);
}

void transform(const Network& network, const float* parameters, float* transformed) {
    for (int k = 0; k < network.spatial; ++k)
        if (is_minimal(network.layers[k]))
            transform_weights(network.layers[k], parameters + network.layers[k].weight,
                              transformed + transformed_before(network, k));
}

// The weights of layer `k` alone.
Weights weights_of(const Network& network, const Weights& weights, int k) {
    return {weights.plain + network.layers[k].weight, weights.transformed + transformed_before(network, k),
            nullptr};
}

enum class Purpose { training, answers };

// Whether the layer's outputs are filtered with fewer multiplications.  In training that gains 2 % for
// one input channel, and was not worth what it did to a long path: 235 steps of a ReLU network with
// momentum ended 5 times as far from float64 as PyTorch does.
bool is_filtered(const Layer& layer, Purpose purpose) {
    return is_minimal(layer) &&
           (layer.input.channels > 1 || (purpose == Purpose::answers && filters_one_channel));
}

// A convolution and the pooling above it, some rows at a time while they are in the nearest cache.
void forward_stage(const Layer& layer, const Layer* pooling, bool minimal, const V* input,
                   const Weights& weights, const float* bias, const Rooms& rooms, V* output, V* kept,
                   V* pooled) {
    const int rows = layer.output.rows, size = pooling ? pooling->size : 1;
    const int step = minimal && size % 2 != 0 ? 2 * size : size;
    for (int y = 0; y < rows; y += step) {
        const int end = y + step < rows ? y + step : rows;
        if (minimal)
            minimal_forward(layer, y, end, input, weights.transformed, bias, rooms.transformed, rooms.sums,
                            output);
        else
            convolution_forward(layer, y, end, input, weights.plain, bias, output);
        if (!is_immediate(layer.activation))
            activation_forward(layer.activation, layer.output, y, end, output, kept);
        if (pooling) pooling_forward(*pooling, y / size, end / size, output, pooled);
    }
}

// The spatial layers for tile `t`, and its features into the group's columns.
void forward_tile(const Network& network, const Weights& weights, Purpose purpose, const Rooms& rooms,
                  int t) {
    const V* input = rooms.image[t];
    for (int k = 0; k < network.spatial; ++k) {
        const Layer& layer = network.layers[k];
        V* output = rooms.output[k][t];
        if (layer.kind == Kind::convolution) {
            const Layer* pooling = pooling_above(network, k);
            const Weights layer_weights = weights_of(network, weights, k);
            V* kept = rooms.kept[k][t];
            V* pooled = pooling ? rooms.output[++k][t] : nullptr;
            forward_stage(layer, pooling, is_filtered(layer, purpose), input, layer_weights,
                          weights.plain + layer.bias, rooms, output, kept, pooled);
            input = pooling ? pooled : output;
        } else if (layer.kind == Kind::subsampling) {
            subsampling_forward(layer, input, weights.plain + layer.weight,
                                weights.plain + layer.bias, output);
            activation_forward(layer.activation, layer.output, 0, layer.output.rows, output,
                               rooms.kept[k][t]);
            input = output;
        } else {
            pooling_forward(layer, 0, layer.output.rows, input, output);
            input = output;
        }
    }
    const Maps& last = network.layers[network.spatial].input;
    for (int i = 0; i < last.size(); ++i) rooms.flat[i * tiles + t] = input[i];
}

Maps columns_of(const Layer& layer) { return Maps{layer.output.size(), 1, tiles, 0}; }

const V* forward_dense(const Network& network, const float* parameters, const Rooms& rooms) {
    const V* input = rooms.flat;
    for (int k = network.spatial; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        if (layer.kind == Kind::radial_basis)
            distances_forward<tiles>(layer, input, parameters + layer.weight, rooms.dense[k]);
        else
            dense_forward<tiles>(layer.input.size(), layer.output.size(), input,
                                 parameters + layer.weight, parameters + layer.bias,
                                 rooms.dense[k]);
        activation_forward(layer.activation, columns_of(layer), 0, 1, rooms.dense[k], rooms.kept[k][0]);
        input = rooms.dense[k];
    }
    return input;
}

int tiles_of(std::size_t images) {
    return static_cast<int>((images + count_of(lanes) - 1) / count_of(lanes));
}

const V* forward_group(const Network& network, const Weights& weights, Purpose purpose,
                       const Images& images, std::size_t begin, std::size_t end, const Rooms& rooms) {
    for (int t = 0; t < tiles_of(end - begin); ++t) {
        load_tile(network, images, begin + count_of(t * lanes), end, rooms, rooms.image[t]);
        forward_tile(network, weights, purpose, rooms, t);
    }
    return forward_dense(network, weights.plain, rooms);
}

// What the weights' gradient of dense layer `k` will need of the group that begins at `start`.
void keep(const Layer& layer, const V* input, const V* flow, std::size_t start, int used,
          std::size_t capacity, float* features, float* kept_flow) {
    for (int t = 0; t < used; ++t) {
        const std::size_t first = start + count_of(t * lanes);
        into_panels(layer.input.size(), input + t, tiles, capacity, features + first * panel);
        for (int o = 0; o < layer.output.size(); ++o)
            store(kept_flow + count_of(o) * capacity + first, flow[o * tiles + t]);
    }
}

// From the gradient in `rooms.dense_flow[0]` down to the features; returns where it ends.
const V* backward_dense(const Network& network, const float* parameters, const Rooms& rooms,
                        std::size_t start, int used, const lenet::Batch& batch) {
    V *flow = rooms.dense_flow[0], *below = rooms.dense_flow[1];
    for (int k = network.count - 1; k >= network.spatial; --k) {
        const Layer& layer = network.layers[k];
        activation_backward(layer.activation, columns_of(layer), 0, 1,
                            rooms.kept[k][0] ? rooms.kept[k][0] : rooms.dense[k], flow);
        const V* input = k == network.spatial ? rooms.flat : rooms.dense[k - 1];
        if (layer.kind == Kind::radial_basis) {
            distances_input_gradient<tiles>(layer, input, flow, parameters + layer.weight, below);
            exchange(flow, below);
            continue;
        }
        keep(layer, input, flow, start, used, batch.capacity, batch.features[k], batch.flow[k]);
        if (k == 0) break;
        dense_input_gradient<tiles>(layer.input.size(), layer.output.size(), flow,
                                    parameters + layer.weight, below);
        exchange(flow, below);
    }
    return flow;
}

// Completes the flow into the output of convolution `k` and adds to its gradient.  `above` is the
// flow into the pooling above it, or null where the flow is already in `flow`; `kept` is what the
// activation read, or null where its value tells.
void backward_stage(const Layer& layer, const Layer* pooling, const V* input, const V* output,
                    const V* kept, const V* pooled, const V* above, V* flow, const Rooms& rooms,
                    float* filter_gradient) {
    V *weight = rooms.gradient + layer.weight, *bias = rooms.gradient + layer.bias;
    const bool filtered = is_filtered(layer, Purpose::training);
    // Some rows at a time, while they are in the nearest cache, if the gradient fits there too.
    const std::size_t sums = (layer.bias - layer.weight) * sizeof(V);
    const bool few = !filtered && sums < first_level_cache / 4;
    const int rows = layer.output.rows, step = few && pooling ? pooling->size : rows;
    for (int y = 0; y < rows; y += step) {
        const int end = y + step < rows ? y + step : rows;
        if (pooling)
            pooling_gradient(*pooling, kept ? Activation::identity : layer.activation, y, end, output,
                             pooled, above, flow);
        if (!pooling || kept)
            activation_backward(layer.activation, layer.output, y, end, kept ? kept : output, flow);
        if (!filtered) convolution_weight_gradient(layer, y, end, input, flow, weight);
        convolution_bias_gradient(layer, y, end, flow, bias);
    }
    if (filtered)
        minimal_weight_gradient(layer, input, flow, rooms.transformed, rooms.sums, filter_gradient);
}

// The flow into the input of convolution `k`.
void backward_convolution(const Network& network, const Weights& weights, int k, const Rooms& rooms,
                          const V* flow, V* below) {
    const Layer& layer = network.layers[k];
    const Weights own = weights_of(network, weights, k);
    if (is_minimal(layer))
        minimal_input_gradient(layer, flow, own.transformed, rooms.transformed, rooms.sums,
                               rooms.product_rows, below);
    else
        convolution_input_gradient(layer, flow, own.plain, below);
}

void backward_tile(const Network& network, const Weights& weights, const Rooms& rooms, int t,
                   const V* features) {
    V *flow = rooms.flow[0], *below = rooms.flow[1];
    const int count = network.layers[network.spatial].input.size();
    for (int i = 0; i < count; ++i) flow[i] = features[i * tiles + t];
    for (int k = network.spatial - 1; k >= 0; --k) {
        const bool pooled = k > 0 && pooling_above(network, k - 1) != nullptr;
        const Layer* pooling = pooled ? &network.layers[k] : nullptr;
        const V* pooled_output = rooms.output[k][t];
        const V* above = flow;
        if (pooled) {
            --k;
            exchange(flow, below);
        }
        const Layer& layer = network.layers[k];
        const V* input = k == 0 ? rooms.image[t] : rooms.output[k - 1][t];
        const V* output = rooms.output[k][t];
        if (layer.kind == Kind::convolution)
            backward_stage(layer, pooling, input, output, rooms.kept[k][t], pooled_output, above, flow,
                           rooms, rooms.filter_gradient + transformed_before(network, k));
        if (layer.kind == Kind::subsampling) {
            activation_backward(layer.activation, layer.output, 0, layer.output.rows,
                                rooms.kept[k][t] ? rooms.kept[k][t] : output, flow);
            subsampling_weight_gradient(layer, input, flow, rooms.gradient + layer.weight,
                                        rooms.gradient + layer.bias);
        }
        if (k == 0) break;
        if (layer.kind == Kind::convolution)
            backward_convolution(network, weights, k, rooms, flow, below);
        else if (layer.kind == Kind::subsampling)
            subsampling_input_gradient(layer, flow, weights.plain + layer.weight, below);
        else
            pooling_gradient(layer, Activation::identity, 0, layer.input.rows, input, output, flow, below);
        exchange(flow, below);
    }
}

// Calls body(layer, number, first, last) for the convolutions and the trained subsamplings; lane-wise
// are parameters [first, last).
template <typename Body> void for_convolutions(const Network& network, Body body) {
    for (int k = 0; k < network.spatial; ++k) {
        const Layer& layer = network.layers[k];
        if (layer.kind != Kind::convolution && layer.kind != Kind::subsampling) continue;
        const bool filtered = is_filtered(layer, Purpose::training);
        body(layer, k, filtered ? layer.bias : layer.weight, layer.bias + count_of(layer.output.channels));
    }
}

void clear_gradient(const Network& network, const Rooms& rooms) {
    for_convolutions(network, [&](const Layer& layer, int k, std::size_t first, std::size_t last) {
        for (std::size_t p = first; p < last; ++p) rooms.gradient[p] = V{};
        if (!is_filtered(layer, Purpose::training)) return;
        float* from = rooms.filter_gradient + transformed_before(network, k);
        for (std::size_t p = 0; p < transformed_floats(layer); ++p) from[p] = 0.0f;
    });
}

void sum_gradient(const Network& network, const Rooms& rooms, float* gradient) {
    for_convolutions(network, [&](const Layer& layer, int k, std::size_t first, std::size_t last) {
        for (std::size_t p = first; p < last; ++p) gradient[p] = sum_lanes(rooms.gradient[p]);
        if (is_filtered(layer, Purpose::training))
            spread_weight_gradient(layer, rooms.filter_gradient + transformed_before(network, k),
                                   gradient + layer.weight);
    });
}

std::size_t workspace_bytes(const Network& network) {
    Shelf shelf(nullptr);
    lay_out(network, shelf);
    return shelf.used();
}

std::size_t feature_floats(const Layer& layer, std::size_t capacity) {
    return count_of(panels_of(layer.input.size()) * panel) * capacity;
}

Totals train(const Network& network, const Weights& weights, const Images& images, std::size_t begin,
             std::size_t end, std::size_t batch, const lenet::Loss& loss, const lenet::Batch& store,
             float* gradient, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    clear_gradient(network, rooms);
    Totals totals;
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        const int used = tiles_of(stop - start);
        const V* logits = forward_group(network, weights, Purpose::training, images, start, stop, rooms);
        const Totals part =
            score_group(network, images, start, stop, batch, loss, logits, rooms.dense_flow[0]);
        totals += part;
        const V* features = backward_dense(network, weights.plain, rooms, start, used, store);
        // The last tile first: its activations are still in the cache.
        for (int t = used - 1; t >= 0; --t) backward_tile(network, weights, rooms, t, features);
    }
    sum_gradient(network, rooms, gradient);
    return totals;
}

void see_images(const Network& network, const Images& images, std::size_t count, std::uint8_t* to,
                void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const std::size_t size = count_of(network.pixels().size());
    for (std::size_t n = 0; n < count; ++n, to += size) {
        const std::uint8_t* pixels = see(images, n, network.pixels(), rooms.augment, rooms.seen);
        std::memcpy(to, pixels, size);
    }
}

void dense_gradient(const Layer& layer, int first, int last, std::size_t count, const float* features,
                    const float* flow, std::size_t capacity, float* weight_gradient, float* bias_gradient) {
    dense_weight_gradient(layer.input.size(), first, last, count, capacity, features, flow, weight_gradient,
                          bias_gradient);
}

void infer(const Network& network, const Weights& weights, const Images& images, std::size_t begin,
           std::size_t end, float* logits, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const std::size_t classes = count_of(network.classes());
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        const V* group_logits =
            forward_group(network, weights, Purpose::answers, images, start, stop, rooms);
        for (std::size_t n = start; n < stop; ++n)
            for (std::size_t c = 0; c < classes; ++c) {
                const std::size_t place = n - start;
                logits[n * classes + c] =
                    group_logits[c * count_of(tiles) + place / count_of(lanes)][place % count_of(lanes)];
            }
    }
}

void watch(const Network& network, const Weights& weights, const Images& images, std::size_t begin,
           std::size_t end, float* const* outputs, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        forward_group(network, weights, Purpose::answers, images, start, stop, rooms);
        for (int k = 0; k < network.count; ++k) {
            const Maps& maps = network.layers[k].output;
            for (std::size_t n = start; n < stop; ++n) {
                const int place = static_cast<int>(n - start), t = place / lanes;
                float* to = outputs[k] + n * count_of(maps.size());
                for (int c = 0; c < maps.channels; ++c)
                    for (int y = 0; y < maps.rows; ++y)
                        for (int x = 0; x < maps.columns; ++x)
                            *to++ = k < network.spatial
                                        ? rooms.output[k][t][maps.at(c, y, x)][place % lanes]
                                        : rooms.dense[k][c * tiles + t][place % lanes];
            }
        }
    }
}

#define LENET_TEXT(name) #name
#define LENET_NAME(name) LENET_TEXT(name)
#define LENET_JOIN(a, b) a##b
#define LENET_SYMBOL(name) LENET_JOIN(backend_, name)

} // namespace

namespace lenet {
const Backend LENET_SYMBOL(LENET_ISA) = {
    .name = LENET_NAME(LENET_ISA),
    .lanes = lanes,
    .group = group,
    .few = few_images,
    .workspace_bytes = workspace_bytes,
    .feature_floats = feature_floats,
    .transformed_floats = transformed_floats,
    .transform = transform,
    .train = train,
    .see = see_images,
    .one_workspace_bytes = one_workspace_bytes,
    .spatial_floats = spatial_floats,
    .pack_spatial = pack_spatial,
    .forward_one = forward_one,
    .train_flat = train_flat,
    .backward_one = backward_one,
    .dense_gradient = dense_gradient,
    .gradient_square = gradient_square,
    .update = update,
    .infer = infer,
    .watch = watch,
    .packed_floats = packed_floats,
    .pack = pack,
    .infer_one = infer_one,
#if !defined(LENET_SERIAL)
    .pattern_bytes = pattern_bytes,
    .pattern_floats = pattern_floats,
    .pack_pattern = pack_pattern,
    .unpack_pattern = unpack_pattern,
    .answer_pattern = answer_pattern,
    .learn_pattern = learn_pattern,
    .curve_pattern = curve_pattern,
#endif
    .functions = functions,
    .multiply_add = multiply_add,
};
} // namespace lenet
