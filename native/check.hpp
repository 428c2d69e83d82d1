// What the stand-alone check collects.
#pragma once

#include <string>
#include <vector>

namespace lenet::check {

class Failures {
public:
    void add(std::string line) { lines_.push_back(std::move(line)); }
    const std::vector<std::string>& lines() const { return lines_; }

private:
    std::vector<std::string> lines_;
};

// The kernels of the instruction set that check_kernels.cpp was compiled for.
void check_kernels(Failures& failures);

// Those for one image; a part of `check_kernels`.
void check_single(Failures& failures);

} // namespace lenet::check
