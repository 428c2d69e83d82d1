// The stand-alone check of one instruction set, without Python, to be run under sanitizers.

#include <cstdio>

#include "check.hpp"
#include "engine.hpp"

#define LENET_TEXT(name) #name
#define LENET_NAME(name) LENET_TEXT(name)

int main() {
    if (!lenet::can_run(LENET_NAME(LENET_ISA))) {
        std::puts(LENET_NAME(LENET_ISA) ": skipped, this processor cannot run it");
        return 0;
    }
    lenet::check::Failures failures;
    lenet::check::check_kernels(failures);
    for (const std::string& line : failures.lines()) std::puts(line.c_str());
    std::printf("%s: %zu failures\n", LENET_NAME(LENET_ISA), failures.lines().size());
    return failures.lines().empty() ? 0 : 1;
}
