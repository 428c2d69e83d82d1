// A shard of a batch forward and backward, and answers: compiled once for each instruction set.

#include <cmath>

#include "backend.hpp"
#include "kernels.hpp"
#include "update.hpp"

using lenet::Backend;
using lenet::Images;
using lenet::Network;
using lenet::Totals;

namespace {

constexpr int tiles = 2;                 // tiles in a group
constexpr int group = tiles * lanes;     // images in a group
constexpr std::size_t alignment = 64;

// Hands out aligned pieces of one block; with no block it only counts.
class Shelf {
public:
    explicit Shelf(void* block) : block_(static_cast<char*>(block)) {}

    template <typename T> T* take(std::size_t count) {
        const std::size_t start = used_;
        used_ += (count * sizeof(T) + alignment - 1) / alignment * alignment;
        return block_ == nullptr ? nullptr : reinterpret_cast<T*>(block_ + start);
    }

    std::size_t used() const { return used_; }

private:
    char* block_;
    std::size_t used_ = 0;
};

inline std::size_t count_of(int value) { return static_cast<std::size_t>(value); }

// One thread's buffers.
struct Rooms {
    std::uint8_t* bytes; // a tile's images, the lanes of each pixel together
    V* image[tiles];
    V* output[lenet::maximum_layers][tiles]; // spatial layers
    V* dense[lenet::maximum_layers];         // dense layers, (features, tiles)
    V* flat;                                 // what the first dense layer reads
    V* flow[2];
    V* dense_flow[2];
    V* gradient; // lane by lane, of the spatial layers' parameters
    float* transposed;
};

std::size_t spatial_parameters(const Network& network) {
    return network.spatial < network.count ? network.layers[network.spatial].weight
                                           : network.parameters;
}

Rooms lay_out(const Network& network, Shelf& shelf) {
    Rooms rooms = {};
    int widest = network.pixels().padded_size(), features = network.pixels().size();
    rooms.bytes = shelf.take<std::uint8_t>(count_of(network.pixels().size() * lanes));
    for (int t = 0; t < tiles; ++t)
        rooms.image[t] = shelf.take<V>(count_of(network.pixels().padded_size()));
    for (int k = 0; k < network.count; ++k) {
        const Maps& out = network.layers[k].output;
        if (k < network.spatial) {
            for (int t = 0; t < tiles; ++t)
                rooms.output[k][t] = shelf.take<V>(count_of(out.padded_size()));
            widest = out.padded_size() > widest ? out.padded_size() : widest;
        } else {
            rooms.dense[k] = shelf.take<V>(count_of(out.size() * tiles));
        }
        features = out.size() > features ? out.size() : features;
    }
    rooms.flat = shelf.take<V>(count_of(features * tiles));
    for (V*& flow : rooms.flow) flow = shelf.take<V>(count_of(widest));
    for (V*& flow : rooms.dense_flow) flow = shelf.take<V>(count_of(features * tiles));
    rooms.gradient = shelf.take<V>(spatial_parameters(network));
    rooms.transposed = shelf.take<float>(count_of(features * group));
    return rooms;
}

// Sixteen bytes of each lane's image, to the lanes of sixteen pixels: log2(lanes) rounds of the
// perfect shuffle.
inline void transpose_bytes(const std::uint8_t* const* from, std::size_t offset,
                            std::uint8_t* to) {
    Bytes row[lanes], shuffled[lanes];
#pragma GCC unroll 16
    for (int lane = 0; lane < lanes; ++lane)
        std::memcpy(&row[lane], from[lane] + offset, sizeof(Bytes));
#pragma GCC unroll 4
    for (int round = 1; round < lanes; round *= 2) {
#pragma GCC unroll 8
        for (int k = 0; k < lanes / 2; ++k) {
            shuffled[2 * k] = interleave_low(row[k], row[k + lanes / 2]);
            shuffled[2 * k + 1] = interleave_high(row[k], row[k + lanes / 2]);
        }
#pragma GCC unroll 16
        for (int k = 0; k < lanes; ++k) row[k] = shuffled[k];
    }
    std::memcpy(to, row, sizeof row);
}

// Images [begin, end) into the lanes of a tile; lanes without an image get the first one.
void load_tile(const Network& network, const Images& images, std::size_t begin, std::size_t end,
               const Rooms& rooms, V* tile) {
    const Maps& maps = network.pixels();
    const std::size_t size = count_of(maps.size());
    const std::uint8_t* from[lanes];
    for (int lane = 0; lane < lanes; ++lane) {
        const std::size_t position = begin + count_of(lane);
        from[lane] = images.pixels + images.index(position < end ? position : begin) * size;
    }
    std::size_t k = 0;
    for (; k + sizeof(Bytes) <= size; k += sizeof(Bytes))
        transpose_bytes(from, k, rooms.bytes + k * count_of(lanes));
    for (; k < size; ++k)
        for (int lane = 0; lane < lanes; ++lane)
            rooms.bytes[k * count_of(lanes) + count_of(lane)] = from[lane][k];
    const std::uint8_t* bytes = rooms.bytes;
    for (int c = 0; c < maps.channels; ++c)
        for (int y = 0; y < maps.rows; ++y) {
            V* row = tile + maps.at(c, y, 0);
            for (int x = 0; x < maps.columns; ++x, bytes += lanes)
                row[x] = to_floats(bytes) * network.pixel_scale + network.pixel_shift;
        }
}

bool is_pooling(const Layer& layer) {
    return layer.kind == Kind::average_pooling || layer.kind == Kind::max_pooling;
}

// Layer `k` is a convolution, and the next one pools what it gives.
bool is_pooled(const Network& network, int k) {
    return k + 1 < network.spatial && network.layers[k].kind == Kind::convolution &&
           is_pooling(network.layers[k + 1]);
}

// Rows of a convolution's output from row `y` on.
void forward_rows(const Layer& layer, const float* parameters, int y, int rows, const V* input,
                  V* output) {
    Layer part = layer;
    part.output = layer.output.band(rows);
    output += y * layer.output.row_stride();
    convolution_forward(part, input + y * layer.input.row_stride(), parameters + layer.weight,
                        parameters + layer.bias, output);
    if (!is_immediate(layer.activation)) activation_forward(layer.activation, part.output, output);
}

// A convolution and the pooling after it, one row of squares at a time, which the first-level cache
// holds in between.
void forward_pooled(const Layer& layer, const Layer& pooling, const float* parameters,
                    const V* input, V* output, V* pooled) {
    const int size = pooling.size, stride = layer.output.row_stride();
    Layer part = pooling;
    part.input = layer.output.band(size);
    part.output = pooling.output.band(1);
    for (int y = 0; y < pooling.output.rows; ++y) {
        forward_rows(layer, parameters, y * size, size, input, output);
        pooling_forward(part, output + y * size * stride, pooled + y * pooling.output.row_stride());
    }
    const int done = pooling.output.rows * size;
    forward_rows(layer, parameters, done, layer.output.rows - done, input, output);
}

// The spatial layers for tile `t`, and its features into the group's columns.
void forward_tile(const Network& network, const float* parameters, const Rooms& rooms, int t) {
    const V* input = rooms.image[t];
    for (int k = 0; k < network.spatial; ++k) {
        const Layer& layer = network.layers[k];
        V* output = rooms.output[k][t];
        if (is_pooled(network, k)) {
            ++k;
            forward_pooled(layer, network.layers[k], parameters, input, output,
                           rooms.output[k][t]);
            output = rooms.output[k][t];
        } else if (layer.kind == Kind::convolution) {
            forward_rows(layer, parameters, 0, layer.output.rows, input, output);
        } else {
            pooling_forward(layer, input, output);
        }
        input = output;
    }
    const Maps& last = network.layers[network.spatial].input;
    for (int i = 0; i < last.size(); ++i) rooms.flat[i * tiles + t] = input[i];
}

Maps columns_of(const Layer& layer) { return Maps{layer.output.size(), 1, tiles, 0}; }

const V* forward_dense(const Network& network, const float* parameters, const Rooms& rooms) {
    const V* input = rooms.flat;
    for (int k = network.spatial; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        dense_forward<tiles>(layer.input.size(), layer.output.size(), input,
                             parameters + layer.weight, parameters + layer.bias, rooms.dense[k]);
        activation_forward(layer.activation, columns_of(layer), rooms.dense[k]);
        input = rooms.dense[k];
    }
    return input;
}

int tiles_of(std::size_t images) {
    return static_cast<int>((images + count_of(lanes) - 1) / count_of(lanes));
}

const V* forward_group(const Network& network, const float* parameters, const Images& images,
                       std::size_t begin, std::size_t end, const Rooms& rooms) {
    for (int t = 0; t < tiles_of(end - begin); ++t) {
        load_tile(network, images, begin + count_of(t * lanes), end, rooms, rooms.image[t]);
        forward_tile(network, parameters, rooms, t);
    }
    return forward_dense(network, parameters, rooms);
}

// Softmax cross-entropy of the group's logits: adds up loss and misses, and writes the gradient of
// the mean loss over `batch` images; lanes without an image get zero.
Totals score_group(const Network& network, const Images& images, std::size_t begin,
                   std::size_t end, std::size_t batch, float smoothing, const V* logits, V* flow) {
    const int classes = network.classes();
    const float share = 1.0f / static_cast<float>(batch);
    const float spread = smoothing / static_cast<float>(classes);
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
            const int label = static_cast<int>(images.labels[images.index(position)]);
            flow[label * tiles + t][lane] -= (1.0f - smoothing) * share;
            const double log_sum = std::log(static_cast<double>(sum[lane]));
            int best = 0;
            double all = 0.0;
            for (int c = 0; c < classes; ++c) {
                const double logit = static_cast<double>(logits[c * tiles + t][lane]);
                all += logit - static_cast<double>(largest[lane]) - log_sum;
                if (logits[c * tiles + t][lane] > logits[best * tiles + t][lane]) best = c;
            }
            const double own = static_cast<double>(logits[label * tiles + t][lane]) -
                               static_cast<double>(largest[lane]) - log_sum;
            totals.loss -= (1.0 - static_cast<double>(smoothing)) * own +
                           static_cast<double>(spread) * all;
            totals.misses += best != label;
        }
    }
    return totals;
}

// From the gradient in `rooms.dense_flow[0]` down to the features; returns where it ends.
const V* backward_dense(const Network& network, const float* parameters, const Rooms& rooms,
                        float* gradient) {
    V *flow = rooms.dense_flow[0], *below = rooms.dense_flow[1];
    for (int k = network.count - 1; k >= network.spatial; --k) {
        const Layer& layer = network.layers[k];
        const int inputs = layer.input.size(), outputs = layer.output.size();
        activation_backward(layer.activation, columns_of(layer), rooms.dense[k], flow);
        const V* input = k == network.spatial ? rooms.flat : rooms.dense[k - 1];
        dense_weight_gradient<tiles>(inputs, outputs, input, flow, rooms.transposed,
                                     gradient + layer.weight, gradient + layer.bias);
        if (k == 0) break;
        dense_input_gradient<tiles>(inputs, outputs, flow, parameters + layer.weight, below);
        V* free = flow;
        flow = below;
        below = free;
    }
    return flow;
}

// The weight gradient of the first layer, one row of squares of the pooling after it at a time:
// nothing else needs the gradient of what the layer gave.
void backward_pooled(const Layer& layer, const Layer& pooling, const V* input, const V* output,
                     const V* pooled, const V* pooled_flow, const Rooms& rooms, V* flow) {
    const int size = pooling.size, stride = layer.output.row_stride();
    Layer part = layer, squares = pooling;
    squares.input = part.output = layer.output.band(size);
    squares.output = pooling.output.band(1);
    for (int y = 0; y < pooling.output.rows; ++y) {
        const V* rows = output + y * size * stride;
        const int row = y * pooling.output.row_stride();
        pooling_gradient(squares, rows, pooled + row, pooled_flow + row, flow);
        activation_backward(layer.activation, part.output, rows, flow);
        convolution_weight_gradient(part, input + y * size * layer.input.row_stride(), flow,
                                    rooms.gradient + layer.weight, rooms.gradient + layer.bias);
    }
}

void backward_tile(const Network& network, const float* parameters, const Rooms& rooms, int t,
                   const V* features) {
    V *flow = rooms.flow[0], *below = rooms.flow[1];
    const int count = network.layers[network.spatial].input.size();
    for (int i = 0; i < count; ++i) flow[i] = features[i * tiles + t];
    for (int k = network.spatial - 1; k >= 0; --k) {
        const Layer& layer = network.layers[k];
        const V* input = k == 0 ? rooms.image[t] : rooms.output[k - 1][t];
        const V* output = rooms.output[k][t];
        if (k == 1 && is_pooled(network, 0)) {
            backward_pooled(network.layers[0], layer, rooms.image[t], input, output, flow, rooms,
                            below);
            break;
        }
        activation_backward(layer.activation, layer.output, output, flow);
        if (layer.kind == Kind::convolution)
            convolution_weight_gradient(layer, input, flow, rooms.gradient + layer.weight,
                                        rooms.gradient + layer.bias);
        if (k == 0) break;
        if (layer.kind == Kind::convolution)
            convolution_input_gradient(layer, flow, parameters + layer.weight, below);
        else
            pooling_gradient(layer, input, output, flow, below);
        V* free = flow;
        flow = below;
        below = free;
    }
}

std::size_t workspace_bytes(const Network& network) {
    Shelf shelf(nullptr);
    lay_out(network, shelf);
    return shelf.used();
}

Totals train(const Network& network, const float* parameters, const Images& images,
             std::size_t begin, std::size_t end, std::size_t batch, float smoothing,
             float* gradient, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const std::size_t lane_wise = spatial_parameters(network);
    std::memset(gradient, 0, network.parameters * sizeof(float));
    for (std::size_t k = 0; k < lane_wise; ++k) rooms.gradient[k] = V{};
    Totals totals;
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        const V* logits = forward_group(network, parameters, images, start, stop, rooms);
        const Totals part = score_group(network, images, start, stop, batch, smoothing, logits,
                                        rooms.dense_flow[0]);
        totals.loss += part.loss;
        totals.misses += part.misses;
        const V* features = backward_dense(network, parameters, rooms, gradient);
        // The last tile first: its activations are still in the cache.
        for (int t = tiles_of(stop - start) - 1; t >= 0; --t)
            backward_tile(network, parameters, rooms, t, features);
    }
    for (std::size_t k = 0; k < lane_wise; ++k) gradient[k] = sum_lanes(rooms.gradient[k]);
    return totals;
}

void infer(const Network& network, const float* parameters, const Images& images,
           std::size_t begin, std::size_t end, float* logits, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const std::size_t classes = count_of(network.classes());
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        const V* group_logits = forward_group(network, parameters, images, start, stop, rooms);
        for (std::size_t n = start; n < stop; ++n)
            for (std::size_t c = 0; c < classes; ++c) {
                const std::size_t place = n - start;
                logits[n * classes + c] = group_logits[c * count_of(tiles) +
                                                       place / count_of(lanes)]
                                                      [place % count_of(lanes)];
            }
    }
}

void watch(const Network& network, const float* parameters, const Images& images,
           std::size_t begin, std::size_t end, float* const* outputs, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    for (std::size_t start = begin; start < end; start += count_of(group)) {
        const std::size_t stop = start + count_of(group) < end ? start + count_of(group) : end;
        forward_group(network, parameters, images, start, stop, rooms);
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

// ---- one image, lanes over maps: activations are (rows, columns, maps) ---------------------------

int vectors(int maps) { return (maps + lanes - 1) / lanes; }

// Floats of one pixel: its maps, filled up to whole vectors.
int stride(const Maps& maps, bool image) { return image ? maps.channels : vectors(maps.channels) * lanes; }

// Weights as (taps, outputs filled up to whole vectors), then the biases.
std::size_t packed_layer(const Layer& layer) {
    if (layer.kind == Kind::convolution)
        return count_of((layer.input.channels * layer.size * layer.size + 1) *
                        vectors(layer.output.channels) * lanes);
    if (layer.kind == Kind::dense)
        return count_of((layer.input.size() + 1) * vectors(layer.output.size()) * lanes);
    return 0;
}

std::size_t packed_floats(const Network& network) {
    std::size_t total = 0;
    for (int k = 0; k < network.count; ++k) total += packed_layer(network.layers[k]);
    return total;
}

void pack(const Network& network, const float* parameters, float* packed) {
    std::memset(packed, 0, packed_floats(network) * sizeof(float));
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        const Maps& in = layer.input;
        const float *weight = parameters + layer.weight, *bias = parameters + layer.bias;
        if (layer.kind == Kind::average_pooling || layer.kind == Kind::max_pooling) continue;
        const bool dense = layer.kind == Kind::dense;
        const int width = vectors(dense ? layer.output.size() : layer.output.channels) * lanes;
        const int outputs = dense ? layer.output.size() : layer.output.channels;
        const int area = dense ? in.rows * in.columns : layer.size * layer.size;
        const int taps = in.channels * area;
        for (int o = 0; o < outputs; ++o) {
            for (int i = 0; i < in.channels; ++i)
                for (int a = 0; a < area; ++a)
                    packed[(a * in.channels + i) * width + o] = weight[o * taps + i * area + a];
            packed[taps * width + o] = bias[o];
        }
        packed += packed_layer(layer);
    }
}

// P neighbouring pixels of one vector of maps.
template <int P>
inline void one_pixels(const Layer& layer, const float* input, int in_stride, int in_row,
                       const float* weight, int width, V bias, float* output, int out_stride) {
    V sum[P];
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) sum[p] = bias;
    for (int v = 0; v < layer.size; ++v)
        for (int u = 0; u < layer.size; ++u) {
            const float* from = input + v * in_row + u * in_stride;
            const float* w = weight + (v * layer.size + u) * layer.input.channels * width;
            for (int i = 0; i < layer.input.channels; ++i) {
                const V tap = load(w + i * width);
#pragma GCC unroll 16
                for (int p = 0; p < P; ++p) sum[p] += tap * from[p * in_stride + i];
            }
        }
#pragma GCC unroll 16
    for (int p = 0; p < P; ++p) store(output + p * out_stride, activate(layer.activation, sum[p]));
}

void one_convolution(const Layer& layer, const float* input, bool image, const float* weight,
                     float* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int in_stride = stride(in, image), out_stride = stride(out, false);
    const int width = vectors(out.channels) * lanes, in_row = in.row_stride() * in_stride;
    const float* bias = weight + in.channels * layer.size * layer.size * width;
    for (int y = 0; y < out.rows; ++y)
        for (int m = 0; m < width; m += lanes) {
            const float* from = input + y * in_row;
            float* to = output + out.at(0, y, 0) * out_stride + m;
            int x = 0;
            for (; x + 10 <= out.columns; x += 10)
                one_pixels<10>(layer, from + x * in_stride, in_stride, in_row, weight + m, width,
                               load(bias + m), to + x * out_stride, out_stride);
            for (; x + 4 <= out.columns; x += 4)
                one_pixels<4>(layer, from + x * in_stride, in_stride, in_row, weight + m, width,
                              load(bias + m), to + x * out_stride, out_stride);
            for (; x < out.columns; ++x)
                one_pixels<1>(layer, from + x * in_stride, in_stride, in_row, weight + m, width,
                              load(bias + m), to + x * out_stride, out_stride);
        }
}

void one_pooling(const Layer& layer, const float* input, bool image, float* output) {
    const Maps &in = layer.input, &out = layer.output;
    const int in_stride = stride(in, image), out_stride = stride(out, false);
    const float share = 1.0f / static_cast<float>(layer.size * layer.size);
    const bool average = layer.kind == Kind::average_pooling;
    for (int y = 0; y < out.rows; ++y)
        for (int x = 0; x < out.columns; ++x)
            for (int c = 0; c < out.channels; ++c) {
                const float* from =
                    input + in.at(0, y * layer.size, x * layer.size) * in_stride + c;
                float result = from[0];
                for (int v = 0; v < layer.size; ++v)
                    for (int u = v == 0 ? 1 : 0; u < layer.size; ++u) {
                        const float value = from[(v * in.row_stride() + u) * in_stride];
                        result = average ? result + value : (value <= result ? result : value);
                    }
                output[out.at(0, y, x) * out_stride + c] = average ? result * share : result;
            }
}

// B vectors of outputs at once.
template <int B>
inline void one_dense_block(const Layer& layer, const float* input, int taps, const float* weight,
                            int width, float* output) {
    V sum[B];
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) sum[b] = load(weight + taps * width + b * lanes);
    for (int i = 0; i < taps; ++i) {
        const V x = splat(input[i]);
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b) sum[b] += x * load(weight + i * width + b * lanes);
    }
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b) store(output + b * lanes, activate(layer.activation, sum[b]));
}

void one_dense(const Layer& layer, const float* input, const float* weight, float* output) {
    const int taps = layer.input.size(), width = vectors(layer.output.size()) * lanes;
    int m = 0;
    for (; m + 8 * lanes <= width; m += 8 * lanes)
        one_dense_block<8>(layer, input, taps, weight + m, width, output + m);
    for (; m + 2 * lanes <= width; m += 2 * lanes)
        one_dense_block<2>(layer, input, taps, weight + m, width, output + m);
    for (; m < width; m += lanes)
        one_dense_block<1>(layer, input, taps, weight + m, width, output + m);
}

// Drops the maps that fill up the last vector, so that a dense layer reads (pixels, maps).
void one_flatten(const Maps& maps, bool image, const float* input, float* output) {
    const int step = stride(maps, image);
    for (int pixel = 0; pixel < maps.rows * maps.columns; ++pixel)
        for (int c = 0; c < maps.channels; ++c) *output++ = input[pixel * step + c];
}

void infer_one(const Network& network, const float* packed, const std::uint8_t* pixels,
               float* logits, void* workspace) {
    Shelf shelf(workspace);
    const Rooms rooms = lay_out(network, shelf);
    const Maps& first = network.pixels();
    float* image = reinterpret_cast<float*>(rooms.image[0]);
    for (int c = 0, k = 0; c < first.channels; ++c)
        for (int y = 0; y < first.rows; ++y)
            for (int x = 0; x < first.columns; ++x, ++k)
                image[first.at(0, y, x) * first.channels + c] =
                    static_cast<float>(pixels[k]) * network.pixel_scale + network.pixel_shift;
    const float* input = image;
    for (int k = 0; k < network.count; ++k) {
        const Layer& layer = network.layers[k];
        float* output = reinterpret_cast<float*>(k < network.spatial ? rooms.output[k][0]
                                                                     : rooms.dense[k]);
        if (layer.kind == Kind::convolution) {
            one_convolution(layer, input, k == 0, packed, output);
        } else if (layer.kind == Kind::dense) {
            if (k == network.spatial) {
                float* flat = reinterpret_cast<float*>(rooms.flat);
                one_flatten(layer.input, k == 0, input, flat);
                input = flat;
            }
            one_dense(layer, input, packed, output);
        } else {
            one_pooling(layer, input, k == 0, output);
        }
        packed += packed_layer(layer);
        input = output;
    }
    std::memcpy(logits, input, count_of(network.classes()) * sizeof(float));
}

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
    keep_in_register(factor);
    keep_in_register(term);
    for (int round = 0; round < rounds; ++round)
#pragma GCC unroll 16
        for (int c = 0; c < chains; ++c) {
            sum[c] = sum[c] * factor + term;
            keep_in_register(sum[c]);
        }
    return static_cast<std::int64_t>(rounds) * chains * lanes;
}

#define LENET_TEXT(name) #name
#define LENET_NAME(name) LENET_TEXT(name)
#define LENET_JOIN(a, b) a##b
#define LENET_SYMBOL(name) LENET_JOIN(backend_, name)

} // namespace

namespace lenet {
const Backend LENET_SYMBOL(LENET_ISA) = {LENET_NAME(LENET_ISA),
                                         lanes,
                                         group,
                                         workspace_bytes,
                                         train,
                                         update,
                                         infer,
                                         watch,
                                         packed_floats,
                                         pack,
                                         infer_one,
                                         functions,
                                         multiply_add};
} // namespace lenet
