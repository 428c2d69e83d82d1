// The threads of a pool: how they wait, take tasks and end.

#include "pool.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#ifdef _WIN32
#include <process.h>
static long current_process() { return _getpid(); }
#else
#include <unistd.h>
static long current_process() { return getpid(); }
#endif

namespace lenet {

struct Pool::Seat {
    std::mutex mutex;
    std::condition_variable begin;
    std::atomic<unsigned> round{0}; // in which this thread is asked to work
    std::thread thread;
};

struct Pool::Crew {
    explicit Crew(int threads) : seats(static_cast<std::size_t>(threads)) {}

    std::vector<Seat> seats; // of all threads but the caller's
    std::mutex mutex;
    std::condition_variable done;
    const std::function<void(int, int)>* task = nullptr;
    int count = 0;
    std::atomic<int> next{0};
    std::atomic<int> busy{0};
    bool may_spin = false;
    bool leaving = false;
};

namespace {

// A step has several rounds, one right after the other: for so long a thread looks before it sleeps,
// because to wake it costs more.
constexpr std::chrono::microseconds patience{50};
constexpr int looks = 32; // between two looks at the clock

void rest() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

template <typename Condition> void spin_until(Condition condition) {
    using Clock = std::chrono::steady_clock;
    if (condition()) return;
    const auto end = Clock::now() + patience;
    do {
        for (int look = 0; look < looks; ++look) {
            rest();
            if (condition()) return;
        }
    } while (Clock::now() < end);
}

void take_tasks(std::atomic<int>& next, int count, const std::function<void(int, int)>& task, int thread) {
    for (int number = next.fetch_add(1); number < count; number = next.fetch_add(1)) task(number, thread);
}

} // namespace

Pool::Pool(int threads) : threads_(threads < 1 ? 1 : threads), process_(current_process()) { start(); }

// Throws std::system_error where the system gives no more threads.
void Pool::start() {
    crew_ = std::make_unique<Crew>(threads_ - 1);
    crew_->may_spin = static_cast<unsigned>(threads_) <= std::thread::hardware_concurrency();
    int thread = 0;
    try {
        for (Seat& seat : crew_->seats)
            seat.thread =
                std::thread([crew = crew_.get(), &seat, number = ++thread] { work(*crew, seat, number); });
    } catch (...) {
        stop();
        throw;
    }
}

void Pool::stop() {
    crew_->leaving = true; // a thread reads it after its round has begun
    for (Seat& seat : crew_->seats) {
        const std::lock_guard lock(seat.mutex);
        ++seat.round;
        seat.begin.notify_one();
    }
    for (Seat& seat : crew_->seats)
        if (seat.thread.joinable()) seat.thread.join();
    crew_.reset();
}

Pool::~Pool() {
    if (current_process() == process_)
        stop();
    else
        (void)crew_.release(); // the parent's threads are not here to be joined
}

void Pool::work(Crew& crew, Seat& seat, int thread) {
    unsigned seen = 0;
    while (true) {
        const auto asked = [&] { return seat.round != seen; };
        if (crew.may_spin) spin_until(asked);
        if (!asked()) {
            std::unique_lock lock(seat.mutex);
            seat.begin.wait(lock, asked);
        }
        seen = seat.round;
        if (crew.leaving) return;
        take_tasks(crew.next, crew.count, *crew.task, thread);
        if (--crew.busy > 0) continue;
        const std::lock_guard lock(crew.mutex); // or the caller might miss it
        crew.done.notify_one();
    }
}

void Pool::run(int count, const std::function<void(int, int)>& task) {
    if (threads_ == 1 || count <= 1) {
        for (int number = 0; number < count; ++number) task(number, 0);
        return;
    }
    if (current_process() != process_) {
        (void)crew_.release();
        start();
        process_ = current_process();
    }
    Crew& crew = *crew_;
    const int wanted = (count < threads_ ? count : threads_) - 1;
    crew.task = &task;
    crew.count = count;
    crew.next = 0;
    crew.busy = wanted;
    for (int thread = 0; thread < wanted; ++thread) {
        Seat& seat = crew.seats[static_cast<std::size_t>(thread)];
        const std::lock_guard lock(seat.mutex);
        ++seat.round;
        seat.begin.notify_one();
    }
    take_tasks(crew.next, count, task, 0);
    const auto all_done = [&] { return crew.busy == 0; };
    if (crew.may_spin) spin_until(all_done);
    if (all_done()) return;
    std::unique_lock lock(crew.mutex);
    crew.done.wait(lock, all_done);
}

} // namespace lenet
