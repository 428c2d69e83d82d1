// The random streams of src/lenet/system/rng.py, for a place without Python: the same bytes.
//
// Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), as NumPy counts:
// the first block is that of counter 1.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "digest.hpp"

namespace lenet {

class Philox {
public:
    // `name` is the text of the stream's key, as Python's repr has it.
    explicit Philox(std::string_view name) {
        Hash hash;
        hash.add(reinterpret_cast<const std::uint8_t*>(name.data()), name.size());
        const Digest digest = hash.finish();
        std::memcpy(key_, digest.data(), sizeof key_);
    }

    std::uint64_t next() {
        if (used_ == 4) {
            ++counter_;
            make_block();
            used_ = 0;
        }
        return block_[used_++];
    }

private:
    void make_block() {
        std::uint64_t a = counter_, b = 0, c = 0, d = 0, first = key_[0], second = key_[1];
        for (int round = 0; round < 10; ++round) {
            const auto left = static_cast<unsigned __int128>(0xD2E7470EE14C6C93) * a;
            const auto right = static_cast<unsigned __int128>(0xCA5A826395121157) * c;
            a = static_cast<std::uint64_t>(right >> 64) ^ b ^ first;
            b = static_cast<std::uint64_t>(right);
            c = static_cast<std::uint64_t>(left >> 64) ^ d ^ second;
            d = static_cast<std::uint64_t>(left);
            first += 0x9E3779B97F4A7C15;  // the golden ratio
            second += 0xBB67AE8584CAA73B; // the square root of 3, less 1
        }
        block_[0] = a, block_[1] = b, block_[2] = c, block_[3] = d;
    }

    std::uint64_t key_[2], block_[4] = {};
    std::uint64_t counter_ = 0;
    int used_ = 4;
};

// A uniform order of 0 .. count - 1.
inline std::vector<std::int64_t> permutation(std::size_t count, std::string_view name) {
    Philox stream(name);
    std::vector<std::uint64_t> words(count);
    for (std::uint64_t& word : words) word = stream.next();
    std::vector<std::int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        return words[static_cast<std::size_t>(a)] < words[static_cast<std::size_t>(b)];
    });
    return order;
}

// Uniform in [-bound, bound).
inline void uniform(std::size_t count, double bound, std::string_view name, float* to) {
    Philox stream(name);
    for (std::size_t k = 0; k < count; ++k) {
        const double unit = static_cast<double>(stream.next() >> 11) * 0x1p-53;
        to[k] = static_cast<float>((2.0 * unit - 1.0) * bound);
    }
}

} // namespace lenet
