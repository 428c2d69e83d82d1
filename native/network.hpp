// A network as plain data, its limits, and the words of the native part.
//
// tile    the images of one vector, one image a lane: the spatial layers take a tile at a time
// group   the tiles that go through the dense layers together
// shard   the groups of a batch whose gradient one task sums, in a fixed order
// block   the accumulators that stay in registers while an input streams by
// panel   some inputs of a dense layer as its weights' gradient reads them, images side by side
// band    some pairs of rows that a filtered convolution takes at a time
// flow    the gradient of the loss on its way down, with respect to a layer's outputs
// room    a buffer that is laid out once and used by every image
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// Never compiled out of line: the linker would keep one copy for all instruction sets.
#define LENET_INLINE [[gnu::always_inline]] constexpr

namespace lenet {

enum class Kind : int { convolution, average_pooling, max_pooling, dense, subsampling, radial_basis };
enum class Activation : int { identity, relu, leaky_relu, sigmoid, tanh, scaled_tanh, silu };

// Their names outside, in the same order: a layer's operation and its activation.
constexpr const char* kind_names[] = {"convolution", "average",     "max",
                                      "dense",       "subsampling", "radial_basis"};
constexpr const char* activation_names[] = {"identity", "relu",        "leaky_relu", "sigmoid",
                                            "tanh",     "scaled_tanh", "silu"};

constexpr float leaky_relu_slope = 0.01f;        // as torch.nn.LeakyReLU
constexpr float scaled_tanh_amplitude = 1.7159f; // LeCun et al. 1998, equation 6
constexpr float scaled_tanh_slope = 2.0f / 3.0f;

// Whether the derivative is known from what the activation gives; else what it read is kept.
LENET_INLINE bool is_told_by_value(Activation activation) { return activation != Activation::silu; }

// Maps of numbers with a border of zeros around each map: what a padded convolution reads.
struct Maps {
    int channels = 0;
    int rows = 0;
    int columns = 0;
    int border = 0;

    LENET_INLINE int row_stride() const { return columns + 2 * border; }
    LENET_INLINE int channel_stride() const { return (rows + 2 * border) * row_stride(); }
    LENET_INLINE int size() const { return channels * rows * columns; }
    LENET_INLINE int padded_size() const { return channels * channel_stride(); }
    LENET_INLINE int at(int channel, int row, int column) const {
        return channel * channel_stride() + (row + border) * row_stride() + column + border;
    }
};

// One layer.  `size` is the side of a convolution's kernel or of a pooling's square.  A
// convolution's padding is its input's border.  `weight` and `bias` are offsets in the parameters:
// weights (outputs, inputs, size, size) or (outputs, inputs), biases (outputs).
//
// A subsampling has a coefficient and a bias a map (outputs), and feeds each input map to so many
// neighbouring output maps.  Radial basis units answer with minus `scale` times the squared distance
// to their centres (outputs, inputs), which are the last of the parameters and never change.
struct Layer {
    Kind kind = Kind::dense;
    Activation activation = Activation::identity;
    int size = 0;
    Maps input;
    Maps output;
    std::size_t weight = 0;
    std::size_t bias = 0;
    float scale = 1.0f;
};

// Far beyond any LeNet: what the kernels count in 32 bits stays far from overflowing.
constexpr int maximum_layers = 32;
constexpr int maximum_size = 64;             // of a kernel's or a square's side
constexpr int maximum_outputs = 1 << 16;     // of a layer, and of a picture's side
constexpr int maximum_weights = 1 << 26;     // of a layer
constexpr int maximum_activations = 1 << 22; // of a layer and an image, borders included
constexpr int maximum_threads = 1024;

// What a training minimises, from the logits: softmax cross-entropy with the label's probability
// smoothed over the classes, or of LeCun et al. 1998 equation 8, the distance to the label's centre
// alone, or equation 9, which lets it compete with the others and with a rubbish class at a distance
// of `rubbish`.
enum class LossKind : int { cross_entropy, mse, map };
constexpr const char* loss_names[] = {"cross_entropy", "mse", "map"};

struct Loss {
    LossKind kind = LossKind::cross_entropy;
    float smoothing = 0.0f;
    float rubbish = 0.0f;
};

// Convolutions and poolings first (`spatial` of them), then dense layers, and radial basis units last.
struct Network {
    Layer layers[maximum_layers];
    int count = 0;
    int spatial = 0;
    std::size_t parameters = 0;
    std::size_t trained = 0; // those that may change: the first ones
    float pixel_scale = 1.0f;
    float pixel_shift = 0.0f;

    LENET_INLINE const Layer& last() const { return layers[count - 1]; }
    LENET_INLINE int classes() const { return last().output.size(); }
    LENET_INLINE const Maps& pixels() const { return layers[0].input; }
};

// What is asked of one layer; its shapes follow from the layers before it.
struct LayerRow {
    const char* name; // for the message of an error
    Kind kind = Kind::dense;
    Activation activation = Activation::identity;
    int size = 0;
    int padding = 0;
    int outputs = 0; // of a convolution (maps) or a dense layer; of a subsampling for each input map
    float scale = 1.0f; // of squared distances
};

// The network of these layers over pictures of `channels`, `rows` and `columns`.  Throws
// std::invalid_argument, with the layer and the reason, for what the kernels cannot do.
Network build_network(int channels, int rows, int columns, std::span<const LayerRow> layers,
                      float pixel_scale = 1.0f, float pixel_shift = 0.0f);

// How much images are changed each time they are seen: `Numbers` of src/lenet/recipe/augmentation.py,
// and what names the streams.
struct Augmentation {
    std::int64_t flip = 0, shift = 0, scale = 0, squeeze = 0, shear = 0, rotation = 0, elastic = 0;
    std::int64_t edge = 0, brightness = 0, contrast = 0, erase = 0, erase_side = 0;
    const std::int32_t* kernel = nullptr;
    int kernel_size = 0;
    std::uint64_t seed = 0;
    std::int64_t epoch = 1;

    LENET_INLINE bool bends() const { return scale || squeeze || shear || rotation || elastic; }
    LENET_INLINE bool is_none() const {
        return !(bends() || shift || flip || contrast || brightness || erase);
    }
};

constexpr int maximum_kernel = 255; // weights that smooth displacements

// Images of one split, chosen by index: uint8 (n, channels, rows, columns) and labels (n).
// Without `indices` the images are taken in order.  Where there are `targets` (n, classes), which are
// probabilities, the loss is against those.
struct Images {
    const std::uint8_t* pixels = nullptr;
    const std::int64_t* labels = nullptr;
    const std::int64_t* indices = nullptr;
    const float* targets = nullptr;
    const Augmentation* augmentation = nullptr; // of the images that a step sees

    LENET_INLINE std::size_t index(std::size_t position) const {
        return indices == nullptr ? position : static_cast<std::size_t>(indices[position]);
    }

    LENET_INLINE const float* target(std::size_t index, int classes) const {
        return targets == nullptr ? nullptr : targets + index * static_cast<std::size_t>(classes);
    }
};

} // namespace lenet
