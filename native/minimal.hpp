// Convolutions of size 5 with fewer multiplications, over a tile of `lanes` images.
//
// Minimal filtering (Winograd 1980, "Arithmetic Complexity of Computations", chapter 4; Lavin and
// Gray 2016, arXiv 1509.09308, section 4), nested in rows and columns.
//
// Two neighbouring outputs y0, y1 of the five taps g0..g4 over the six inputs d0..d5 take seven
// products instead of ten: F(2, 3) over the first three taps and F(2, 2) over the last two.  Their
// points are 0, 1, -1 and infinity alone, so every constant is a power of two and whole numbers stay
// exact.  The products are summed in four components, each over all input channels, before the outputs
// are made of them:
//     A = (d0 - d2) g0 + (d3 - d4) g3
//     B = (d1 + d2) (g0 + g1 + g2) / 2 + d4 (g3 + g4)
//     C = (d2 - d1) (g0 - g1 + g2) / 2
//     D = (d1 - d3) g2 + (d4 - d5) g4
//     y0 = A + B + C,   y1 = B - C - D
// In two dimensions a square of 2x2 outputs takes 7x7 products, in 4x4 components, instead of 100.
// Each component is a matrix product: transformed weights times transformed inputs.
#pragma once

#include "pointwise.hpp"

namespace {

using lenet::Layer;
using lenet::Maps;

constexpr int components = 4, products = 7;
constexpr int first_product[components] = {0, 2, 4, 5};
constexpr int product_count[components] = {2, 2, 1, 2};

// Of two dimensions: the products of one component lie together.
constexpr int square_components = components * components, square_products = products * products;

// B of B reaches all four outputs, with a plus: the bias goes there.
constexpr int in_all_outputs = components + 1;

inline constexpr int square_count(int s) {
    return product_count[s / components] * product_count[s % components];
}

inline constexpr int square_first(int s) {
    return first_product[s / components] * products +
           product_count[s / components] * first_product[s % components];
}

inline constexpr int component_of(int product) {
    int a = 0;
    while (a + 1 < components && first_product[a + 1] <= product) ++a;
    return a;
}

// Where the product of `down` rows and `across` columns lies.
inline constexpr int square_product(int down, int across) {
    const int a = component_of(down), b = component_of(across);
    return square_first(a * components + b) + (down - first_product[a]) * product_count[b] +
           across - first_product[b];
}

// The inputs of a product; `d` are `step` apart.
template <int product> inline V combine_inputs(const V* d, int step) {
    if constexpr (product == 0) return d[0] - d[2 * step];
    if constexpr (product == 1) return d[3 * step] - d[4 * step];
    if constexpr (product == 2) return d[step] + d[2 * step];
    if constexpr (product == 3) return d[4 * step];
    if constexpr (product == 4) return d[2 * step] - d[step];
    if constexpr (product == 5) return d[step] - d[3 * step];
    if constexpr (product == 6) return d[4 * step] - d[5 * step];
}

// Calls body<0>() to body<count - 1>().
template <int count, typename Body> inline void for_each(Body body) {
    if constexpr (count > 0) {
        for_each<count - 1>(body);
        body.template operator()<count - 1>();
    }
}

// Whether a convolution is computed so: squares of 2x2 must fill its outputs.
inline bool is_minimal(const Layer& layer) {
    return layer.kind == Kind::convolution && layer.size == 5 && layer.output.rows % 2 == 0 &&
           layer.output.columns % 2 == 0;
}

inline std::size_t transformed_floats(const Layer& layer) {
    return static_cast<std::size_t>(square_products * layer.input.channels *
                                    layer.output.channels);
}

// The room that a pair of rows needs.
inline int transformed_inputs(const Layer& layer) {
    return square_products * layer.input.channels * layer.output.columns / 2;
}

inline int component_sums(const Layer& layer) {
    return square_components * layer.output.channels * layer.output.columns / 2;
}

inline int product_rows(const Layer& layer) { return products * (layer.output.columns + 4); }

// ---- weights ------------------------------------------------------------------------------------

inline void combine_weights(const float* g, int step, float* u, int u_step) {
    const float even = g[0] + g[2 * step];
    u[0] = g[0];
    u[u_step] = g[3 * step];
    u[2 * u_step] = (even + g[step]) * 0.5f;
    u[3 * u_step] = g[3 * step] + g[4 * step];
    u[4 * u_step] = (even - g[step]) * 0.5f;
    u[5 * u_step] = g[2 * step];
    u[6 * u_step] = g[4 * step];
}

// To [component][output][product of the component][input].
void transform_weights(const Layer& layer, const float* weight, float* transformed) {
    const int inputs = layer.input.channels, outputs = layer.output.channels;
    for (int o = 0; o < outputs; ++o)
        for (int i = 0; i < inputs; ++i, weight += 25) {
            float rows[5 * products], square[square_products];
            for (int v = 0; v < 5; ++v) combine_weights(weight + 5 * v, 1, rows + products * v, 1);
            for (int q = 0; q < products; ++q)
                combine_weights(rows + q, products, square + q, products);
            for_each<square_products>([&]<int k>() {
                constexpr int down = k / products, across = k % products;
                constexpr int s = component_of(down) * components + component_of(across);
                constexpr int place = square_product(down, across) - square_first(s);
                transformed[square_first(s) * inputs * outputs +
                            (o * square_count(s) + place) * inputs + i] = square[k];
            });
        }
}

// ---- forward ------------------------------------------------------------------------------------

// The inputs of two rows of outputs, one channel from row `input` on, in the products of `down`:
// put<across>(square, value).
template <int down, typename Put>
inline void transform_rows(const Layer& layer, const V* input, Put put) {
    const int row = layer.input.row_stride(), squares = layer.output.columns / 2;
    V d[6];
    for (int x = 0; x < 4; ++x) d[x + 2] = combine_inputs<down>(input + x, row);
    for (int t = 0; t < squares; ++t) {
        for (int x = 0; x < 4; ++x) d[x] = d[x + 2];
        for (int x = 4; x < 6; ++x) d[x] = combine_inputs<down>(input + 2 * t + x, row);
        for_each<products>([&]<int across>() {
            put.template operator()<across>(t, combine_inputs<across>(d, 1));
        });
    }
}

// The same for every product; to [product][channel][square].
inline void transform_inputs(const Layer& layer, int channel, const V* input, V* transformed) {
    const int squares = layer.output.columns / 2, step = layer.input.channels * squares;
    V* to = transformed + channel * squares;
    for_each<products>([&]<int down>() {
        transform_rows<down>(layer, input, [&]<int across>(int t, V value) {
            to[square_product(down, across) * step + t] = value;
        });
    });
}

// A component is a matrix product: the sums [row][square] of weights [row][k] and inputs [k][square].
struct Product {
    int rows;
    int count; // over which k runs
    int squares;
    int row_step; // of the weights, as is `k_step`
    int k_step;
};

// C rows and P squares.
template <int C, int P>
inline void multiply_block(const Product& product, const V* inputs, const float* weight,
                           const float* bias, V* sums) {
    V sum[C][P];
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) sum[c][p] = bias == nullptr ? V{} : splat(bias[c]);
    const int row_step = product.row_step, k_step = product.k_step, squares = product.squares;
    for (int k = 0; k < product.count; ++k) {
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) {
            V x = inputs[p];
            keep_in_register(x); // or it is loaded again for every row
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) sum[c][p] += x * weight[c * row_step];
        }
        inputs += squares;
        weight += k_step;
    }
#pragma GCC unroll 16
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 16
        for (int p = 0; p < P; ++p) sums[c * squares + p] = sum[c][p];
}

// All rows, C at a time, and P squares.
template <int C, int P>
[[gnu::noinline]] void multiply_squares(Product product, const V* inputs, const float* weight,
                                        const float* bias, V* sums) {
    int row = 0;
    const auto rows = [&]<int most>() {
        for (; row + most <= product.rows; row += most)
            multiply_block<most, P>(product, inputs, weight + row * product.row_step,
                                    bias == nullptr ? nullptr : bias + row,
                                    sums + row * product.squares);
    };
    rows.template operator()<C>();
    rows.template operator()<1>();
}

template <int C>
inline void multiply(const Product& product, const V* inputs, const float* weight,
                     const float* bias, V* sums) {
    int blocks = (product.squares + minimal_squares - 1) / minimal_squares;
    for (int t = 0; t < product.squares; --blocks) {
        const int width = (product.squares - t) / blocks;
        with_width<minimal_squares>(width, [&]<int P>() {
            multiply_squares<C, P>(product, inputs + t, weight, bias, sums + t);
        });
        t += width;
    }
}

// The outputs of two rows, from the sums [component][output][square].
template <Activation activation>
inline void combine_sums(const Layer& layer, const V* sums, V* output) {
    const Maps& out = layer.output;
    const int squares = out.columns / 2, step = out.channels * squares;
    for (int o = 0; o < out.channels; ++o)
        for (int t = 0; t < squares; ++t) {
            const V* m = sums + o * squares + t;
            V upper[components], lower[components];
#pragma GCC unroll 4
            for (int b = 0; b < components; ++b) {
                const V* s = m + b * step;
                const V mid = s[4 * step], odd = s[8 * step];
                upper[b] = s[0] + mid + odd;
                lower[b] = mid - odd - s[12 * step];
            }
            V* to = output + out.at(o, 0, 2 * t);
            to[0] = activate(activation, upper[0] + upper[1] + upper[2]);
            to[1] = activate(activation, upper[1] - upper[2] - upper[3]);
            to[out.row_stride()] = activate(activation, lower[0] + lower[1] + lower[2]);
            to[out.row_stride() + 1] = activate(activation, lower[1] - lower[2] - lower[3]);
        }
}

// Component `number` of two neighbouring outputs, added to them; the components come in turn.
template <int number> inline void add_component(V value, V& first, V& second) {
    if constexpr (number == 0) first = value;
    if constexpr (number == 1 || number == 2) first += value;
    if constexpr (number == 1) second = value;
    if constexpr (number == 2 || number == 3) second -= value;
}

// P squares, from `t` on, of C outputs, from `o` on, of one input channel: sums so short that the
// outputs stay in registers and no component is stored.
template <Activation activation, int C, int P>
[[gnu::noinline]] void filter_block(const Layer& layer, int o, int t, const V* transformed,
                                    const float* weight, const float* bias, V* output) {
    const Maps& out = layer.output;
    const int squares = out.columns / 2;
    V row[2][2][C][P];
    for_each<components>([&]<int a>() {
        V half[2][C][P];
        for_each<components>([&]<int b>() {
            constexpr int s = a * components + b, first = square_first(s), count = square_count(s);
            const float* w = weight + first * out.channels + o * count;
            V sum[C][P];
#pragma GCC unroll 4
            for (int k = 0; k < count; ++k) {
                const V* x = transformed + (first + k) * squares + t;
#pragma GCC unroll 4
                for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
                    for (int p = 0; p < P; ++p) {
                        const V value = x[p] * w[c * count + k];
                        if (k > 0)
                            sum[c][p] += value;
                        else
                            sum[c][p] = s == in_all_outputs ? value + bias[o + c] : value;
                    }
            }
#pragma GCC unroll 4
            for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
                for (int p = 0; p < P; ++p)
                    add_component<b>(sum[c][p], half[0][c][p], half[1][c][p]);
        });
#pragma GCC unroll 4
        for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
            for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
                for (int x = 0; x < 2; ++x)
                    add_component<a>(half[x][c][p], row[0][x][c][p], row[1][x][c][p]);
    });
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c)
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k)
                output[out.at(o + c, k / 2, 2 * (t + p) + k % 2)] =
                    activate(activation, row[k / 2][k % 2][c][p]);
}

template <Activation activation, int C>
inline void filter_rows(const Layer& layer, int o, const V* transformed, const float* weight,
                        const float* bias, V* output) {
    const int squares = layer.output.columns / 2;
    int t = 0;
    for (; t + filter_squares <= squares; t += filter_squares)
        filter_block<activation, C, filter_squares>(layer, o, t, transformed, weight, bias,
                                                    output);
    for (; t < squares; ++t)
        filter_block<activation, C, 1>(layer, o, t, transformed, weight, bias, output);
}

// Two rows of outputs from one input channel, whose inputs are transformed.
template <Activation activation>
void filter_channel(const Layer& layer, const V* transformed, const float* weight,
                    const float* bias, V* output) {
    int o = 0;
    for (; o + filter_outputs <= layer.output.channels; o += filter_outputs)
        filter_rows<activation, filter_outputs>(layer, o, transformed, weight, bias, output);
    for (; o < layer.output.channels; ++o)
        filter_rows<activation, 1>(layer, o, transformed, weight, bias, output);
}

// Two rows of outputs from several input channels, whose inputs are transformed.
template <Activation activation>
void filter_channels(const Layer& layer, const V* transformed, const float* weight,
                     const float* bias, V* sums, V* output) {
    const int inputs = layer.input.channels, outputs = layer.output.channels;
    const int squares = layer.output.columns / 2;
    for (int s = 0; s < square_components; ++s) {
        const int start = square_first(s) * inputs, count = square_count(s) * inputs;
        multiply<minimal_channels>(Product{outputs, count, squares, count, 1},
                                   transformed + start * squares, weight + start * outputs,
                                   s == in_all_outputs ? bias : nullptr,
                                   sums + s * outputs * squares);
    }
    combine_sums<activation>(layer, sums, output);
}

// Rows [first, last) of the outputs, both even, with the layer's activation where that is immediate.
// `transformed` and `sums` have the room that a pair of rows needs.
void minimal_forward(const Layer& layer, int first, int last, const V* input, const float* weight,
                     const float* bias, V* transformed, V* sums, V* output) {
    for (int y = first; y < last; y += 2) {
        for (int i = 0; i < layer.input.channels; ++i)
            transform_inputs(layer, i,
                             input + i * layer.input.channel_stride() +
                                 y * layer.input.row_stride(),
                             transformed);
        V* to = output + y * layer.output.row_stride();
        with_immediate(layer.activation, [&]<Activation activation>() {
            if (layer.input.channels == 1)
                filter_channel<activation>(layer, transformed, weight, bias, to);
            else
                filter_channels<activation>(layer, transformed, weight, bias, sums, to);
        });
    }
}

} // namespace
