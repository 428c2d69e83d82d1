// Pieces of one block of memory.
#pragma once

#include <cstddef>

namespace {

inline int largest(int a, int b) { return a > b ? a : b; }
inline std::size_t count_of(int value) { return static_cast<std::size_t>(value); }

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

} // namespace
