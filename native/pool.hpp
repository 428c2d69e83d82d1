// A persistent pool of threads that share out numbered tasks.
#pragma once

#if defined(LENET_SERIAL)
#include "serial.hpp"
#else

#include <functional>
#include <memory>

namespace lenet {

class Pool {
public:
    explicit Pool(int threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int threads() const { return threads_; }

    // Runs task(number, thread) for every number below `count` and waits; the caller works too, and no
    // more threads are woken than there are tasks.  Which thread gets which task is left to chance, so a
    // task must not depend on it.  In a forked
    // child it first starts threads anew; throws std::system_error, before any task, if there are none.
    void run(int count, const std::function<void(int, int)>& task);

private:
    struct Seat; // where one thread waits
    struct Crew; // the threads and what they share

    void start();
    void stop();
    static void work(Crew& crew, Seat& seat, int thread);

    int threads_;
    long process_; // a forked child has none of its parent's threads
    std::unique_ptr<Crew> crew_;
};

} // namespace lenet

#endif // LENET_SERIAL
