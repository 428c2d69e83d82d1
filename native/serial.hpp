// Pool and turn where there are no threads: in a browser, whose worker has one.
#pragma once

#include <functional>
#include <mutex> // its lock_guard, for a turn

namespace lenet {

class Pool {
public:
    explicit Pool(int) {}

    int threads() const { return 1; }

    void run(int count, const std::function<void(int, int)>& task) {
        for (int number = 0; number < count; ++number) task(number, 0);
    }
};

class Turn {
public:
    void lock() {}
    void unlock() {}
};

} // namespace lenet
