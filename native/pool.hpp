// A persistent pool of threads that share out numbered tasks.
#pragma once

#if defined(LENET_SERIAL)
#include "serial.hpp"
#else

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace lenet {

class Pool {
public:
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return threads_; }

    // Runs task(number, thread) for every number below `count` and waits; the caller works too.
    // Which thread gets which task is left to chance, so a task must not depend on it.  In a forked
    // child it first starts threads anew; throws std::system_error, before any task, if there are none.
    void run(int count, const std::function<void(int, int)>& task);

private:
    struct Crew; // the threads and what they share

    void start();
    void stop();
    static void work(Crew& crew, int thread);

    int threads_;
    long process_; // a forked child has none of its parent's threads
    std::unique_ptr<Crew> crew_;
};

} // namespace lenet

#endif // LENET_SERIAL
