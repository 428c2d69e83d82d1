// Vectors of floats, one lane a sample, for the instruction set this file is compiled for.
//
// Everything has internal linkage: the same source is compiled for several instruction sets, and
// the linker must not merge them.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(LENET_LANES) // a check of one width with the instructions of another
#elif defined(__AVX512F__)
#define LENET_LANES 16
#elif defined(__AVX2__)
#define LENET_LANES 8
#else
#define LENET_LANES 4
#endif

namespace {

constexpr int lanes = LENET_LANES;

typedef float V __attribute__((vector_size(4 * LENET_LANES)));
typedef std::int32_t I __attribute__((vector_size(4 * LENET_LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LENET_LANES), aligned(4)));

// Shapes of the blocks of accumulators.  They and what feeds them fill the registers: 16 with
// AVX2 and the baseline, 32 with AVX-512 and NEON.
#if LENET_LANES == 16 || defined(__aarch64__)
constexpr int block_channels = 4, gather_columns = 4, gather_channels = 4, taps_channels = 4;
constexpr int minimal_channels = 4, minimal_gradients = 3, minimal_squares = 5;
constexpr int minimal_outputs = 4, minimal_inputs = 6;
constexpr int filter_outputs = 2, planar_maps = 8;
constexpr int tap_rows = 5, tap_maps = 1, column_maps = 3;
#if LENET_LANES == 16
constexpr int tiles = 1;
#else
constexpr int tiles = 2;
#endif
constexpr int dense_block = 12, dense_rows_block = 6, dense_vectors = 4;
#else
constexpr int block_channels = 2, gather_columns = 4, gather_channels = 3, taps_channels = 2;
constexpr int minimal_channels = 2, minimal_gradients = 2, minimal_squares = 5;
constexpr int minimal_outputs = 2, minimal_inputs = 6;
constexpr int filter_outputs = 3, planar_maps = 8;
constexpr int tap_rows = 1, tap_maps = 2, column_maps = 2;
constexpr int tiles = 2;
constexpr int dense_block = 5, dense_rows_block = 4, dense_vectors = 2;
#endif
// With AVX2 plain sums are quicker for answers from one input channel.
constexpr bool filters_one_channel = lanes != 8;
constexpr int block_columns = 5, planar_block = 6, filter_squares = 2;
constexpr int group = tiles * lanes; // images that go through the dense layers together
// Up to so many images that fill no vector are quicker one by one.
constexpr int few_images = lanes == 16 ? 10 : lanes == 8 ? 5 : 3;

// Which lanes of two vectors interleave their lower and upper halves; the same within every four
// lanes; and which put their halves, and every second of their quarters, beside each other.
template <int... lane> struct int_list {
    // The lanes of one vector, taken from two.
    template <typename Mask, typename T> static inline T shuffle(T a, T b) {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
        return __builtin_shuffle(a, b, Mask{lane...});
#else
        return __builtin_shufflevector(a, b, lane...);
#endif
    }
};
#if LENET_LANES == 16
using EvenLanes = int_list<0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30>;
using OddLanes = int_list<1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31>;
using Low = int_list<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
using High = int_list<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>;
using FoursLow = int_list<0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29>;
using FoursHigh = int_list<2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31>;
using LowerHalves = int_list<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>;
using UpperHalves = int_list<8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31>;
using EvenQuarters = int_list<0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27>;
using OddQuarters = int_list<4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31>;
#elif LENET_LANES == 8
using EvenLanes = int_list<0, 2, 4, 6, 8, 10, 12, 14>;
using OddLanes = int_list<1, 3, 5, 7, 9, 11, 13, 15>;
using Low = int_list<0, 8, 1, 9, 2, 10, 3, 11>;
using High = int_list<4, 12, 5, 13, 6, 14, 7, 15>;
using FoursLow = int_list<0, 8, 1, 9, 4, 12, 5, 13>;
using FoursHigh = int_list<2, 10, 3, 11, 6, 14, 7, 15>;
using LowerHalves = int_list<0, 1, 2, 3, 8, 9, 10, 11>;
using UpperHalves = int_list<4, 5, 6, 7, 12, 13, 14, 15>;
#else
using EvenLanes = int_list<0, 2, 4, 6>;
using OddLanes = int_list<1, 3, 5, 7>;
using Low = int_list<0, 4, 1, 5>;
using High = int_list<2, 6, 3, 7>;
using FoursLow = Low;
using FoursHigh = High;
#endif

typedef std::uint8_t Bytes __attribute__((vector_size(16)));

inline Bytes interleave_low(Bytes a, Bytes b) {
    using Pairs = int_list<0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23>;
    return Pairs::shuffle<Bytes>(a, b);
}

inline Bytes interleave_high(Bytes a, Bytes b) {
    using Pairs = int_list<8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31>;
    return Pairs::shuffle<Bytes>(a, b);
}

// One byte a lane.  GCC takes __builtin_convertvector from bytes apart lane by lane, so the
// instruction is named where there is one.
inline V to_floats(const std::uint8_t* from) {
#if defined(__AVX512F__) && LENET_LANES == 16
    // With a mask: GCC 12 warns of the plain one that it may be uninitialised (its bug 105593).
    const __m512i whole =
        _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
    return __builtin_convertvector(reinterpret_cast<I>(whole), V);
#elif defined(__AVX2__) && LENET_LANES == 8
    const __m256i whole = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
    return __builtin_convertvector(reinterpret_cast<I>(whole), V);
#else
    typedef std::uint8_t Lanes __attribute__((vector_size(LENET_LANES)));
    Lanes bytes;
    std::memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(__builtin_convertvector(bytes, I), V);
#endif
}

constexpr int first_level_cache = 32 * 1024; // bytes

// Subtracting zero folds away; adding it would not, for minus zero.
inline V splat(float value) { return value - V{}; }

inline V load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }

inline void store(float* to, V value) { *reinterpret_cast<Unaligned*>(to) = value; }

inline V choose(I mask, V yes, V no) { return mask ? yes : no; }

// A comparison with NaN is false, so both keep a NaN in `value`.
inline V at_least(V value, float bound) { return choose(value < bound, splat(bound), value); }
inline V at_most(V value, float bound) { return choose(value > bound, splat(bound), value); }

// The compiler must compute `value` here, in a register.
inline void compute_here(V& value) {
#if defined(__aarch64__)
    asm volatile("" : "+w"(value));
#elif defined(__x86_64__) && (LENET_LANES < 16 || defined(__AVX512F__))
    asm volatile("" : "+v"(value));
#else // no register is known to hold it
    asm volatile("" : "+m"(value));
#endif
}

// `value` is used several times and must not be loaded again for each.  GCC needs to be told; Clang
// knows, and would load every weight again behind a statement that it cannot see into.
inline void keep_in_register([[maybe_unused]] V& value) {
#if !defined(__clang__)
    compute_here(value);
#endif
}

// Forget what was loaded from `pointer`: where values are used by several taps, holding them for the
// next tap costs more registers than there are, and spilling is dearer than loading again.
inline void load_again(const V*& pointer) { asm("" : "+r"(pointer)); }

template <typename List> inline V zip(V a, V b, List) { return List::template shuffle<I>(a, b); }

// rows[i][j] becomes rows[j][i]: log2(lanes) perfect shuffles.
inline void transpose(V* rows) {
    V shuffled[lanes];
    for (int round = 1; round < lanes; round *= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes / 2; ++i) {
            shuffled[2 * i] = zip(rows[i], rows[i + lanes / 2], Low{});
            shuffled[2 * i + 1] = zip(rows[i], rows[i + lanes / 2], High{});
        }
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) rows[i] = shuffled[i];
    }
}

// One vector of two, its lanes the sums of pairs of theirs: `low` and `high` say which.
template <typename Lower, typename Upper> inline V merge(V a, V b, Lower low, Upper high) {
    return zip(a, b, low) + zip(a, b, high);
}

// The sum of each vector's lanes, the vector's number its lane; zero beyond `count`, which is at most
// `lanes`.  First within four lanes, which are the nearest to each other, then across.
template <int count> inline V lane_sums(const V* values) {
    const auto value = [&](int j) { return j < count ? values[j] : V{}; };
    V sum[lanes / 4];
#pragma GCC unroll 4
    for (int g = 0; g < lanes / 4; ++g) {
        const V even = merge(value(4 * g), value(4 * g + 2), FoursLow{}, FoursHigh{});
        const V odd = merge(value(4 * g + 1), value(4 * g + 3), FoursLow{}, FoursHigh{});
        sum[g] = 4 * g < count ? merge(even, odd, FoursLow{}, FoursHigh{}) : V{};
    }
#if LENET_LANES == 16
    sum[0] = merge(sum[0], sum[1], LowerHalves{}, UpperHalves{});
    sum[2] = merge(sum[2], sum[3], LowerHalves{}, UpperHalves{});
    return merge(sum[0], sum[2], EvenQuarters{}, OddQuarters{});
#elif LENET_LANES == 8
    return merge(sum[0], sum[1], LowerHalves{}, UpperHalves{});
#else
    return sum[0];
#endif
}

// Adds the sum of each vector's lanes to its number in `to`, where zeros are added beyond `count` up
// to the next multiple of `lanes`.
template <int count> inline void add_lane_sums(const V* values, float* to) {
    constexpr int now = count < lanes ? count : lanes;
    store(to, load(to) + lane_sums<now>(values));
    if constexpr (count > lanes) add_lane_sums<count - lanes>(values + lanes, to + lanes);
}

inline float sum_lanes(V value) {
    float sum = 0.0f;
    for (int lane = 0; lane < lanes; ++lane) sum += value[lane];
    return sum;
}

// e^x = scale * (1 + rest): scale is 2^n, rest is e^r - 1 with |r| <= ln 2 / 2.
struct Exponential {
    V scale, rest;
};

// To about one unit in the last place, by the Taylor series of e^r to r^7.  Below -87 it is e^-87, above
// 88 it is e^88; NaN stays NaN.
inline Exponential exponential_parts(V x) {
    x = at_most(at_least(x, -87.0f), 88.0f);
    const float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds to a whole number
    const V shifted = x * 1.44269504f + magic;
    const V n = shifted - magic;
    // ln 2 in two parts, so that n times the first is exact (Cody and Waite 1980).
    V r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    V p = splat(1.0f / 5040.0f);
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    const I power = (reinterpret_cast<I>(shifted) << 23) + (127 << 23);
    return {reinterpret_cast<V>(power), p * r};
}

inline V exponential(V x) {
    const Exponential parts = exponential_parts(x);
    return parts.scale * parts.rest + parts.scale;
}

inline V sigmoid(V x) { return 1.0f / (1.0f + exponential(-x)); }

// (e^2x - 1) / (e^2x + 1), whose upper part is summed from what does not cancel.
inline V hyperbolic_tangent(V x) {
    const Exponential parts = exponential_parts(x + x);
    const V less = parts.scale * parts.rest + (parts.scale - 1.0f);
    return less / (less + 2.0f);
}

// Calls body<P>() for a P that is only known when it runs, 1 to `most`.
template <int most, typename Body> inline void with_width(int width, Body body) {
    if constexpr (most > 1)
        if (width < most) return with_width<most - 1>(width, body);
    body.template operator()<most>();
}

} // namespace
