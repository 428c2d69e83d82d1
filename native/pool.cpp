// The threads of a pool: how they wait, take tasks and end.

#include "pool.hpp"

#ifdef _WIN32
#include <process.h>
static long current_process() { return _getpid(); }
#else
#include <unistd.h>
static long current_process() { return getpid(); }
#endif

namespace lenet {

struct Pool::Crew {
    std::mutex mutex;
    std::condition_variable begin;
    std::condition_variable done;
    std::vector<std::thread> threads;
    const std::function<void(int, int)>* task = nullptr;
    int count = 0;
    std::atomic<int> next{0};
    std::atomic<int> busy{0};
    std::atomic<unsigned> round{0};
    bool may_spin = false;
    bool leaving = false;
};

namespace {

// A step has several rounds, one right after the other: for so long a thread looks before it sleeps,
// because to wake it costs more.
constexpr int looks = 2000;

template <typename Condition> void spin_until(Condition condition) {
    for (int look = 0; look < looks && !condition(); ++look) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }
}

void take_tasks(std::atomic<int>& next, int count, const std::function<void(int, int)>& task,
                int thread) {
    for (int number = next.fetch_add(1); number < count; number = next.fetch_add(1))
        task(number, thread);
}

} // namespace

Pool::Pool(int threads) : threads_(threads < 1 ? 1 : threads), process_(current_process()) {
    start();
}

// Throws std::system_error where the system gives no more threads.
void Pool::start() {
    crew_ = std::make_unique<Crew>();
    crew_->may_spin = static_cast<unsigned>(threads_) <= std::thread::hardware_concurrency();
    try {
        for (int thread = 1; thread < threads_; ++thread)
            crew_->threads.emplace_back([crew = crew_.get(), thread] { work(*crew, thread); });
    } catch (...) {
        stop();
        throw;
    }
}

void Pool::stop() {
    {
        const std::lock_guard lock(crew_->mutex);
        crew_->leaving = true;
    }
    crew_->begin.notify_all();
    for (std::thread& thread : crew_->threads) thread.join();
    crew_.reset();
}

Pool::~Pool() {
    if (current_process() == process_)
        stop();
    else
        (void)crew_.release(); // the parent's threads are not here to be joined
}

void Pool::work(Crew& crew, int thread) {
    unsigned seen = 0;
    while (true) {
        if (crew.may_spin) spin_until([&] { return crew.round != seen; });
        std::unique_lock lock(crew.mutex);
        crew.begin.wait(lock, [&] { return crew.leaving || crew.round != seen; });
        if (crew.leaving) return;
        seen = crew.round;
        const auto& task = *crew.task;
        const int count = crew.count;
        lock.unlock();
        take_tasks(crew.next, count, task, thread);
        lock.lock();
        if (--crew.busy == 0) crew.done.notify_one();
    }
}

void Pool::run(int count, const std::function<void(int, int)>& task) {
    if (current_process() != process_) {
        (void)crew_.release();
        start();
        process_ = current_process();
    }
    if (threads_ == 1 || count <= 1) {
        for (int number = 0; number < count; ++number) task(number, 0);
        return;
    }
    Crew& crew = *crew_;
    {
        const std::lock_guard lock(crew.mutex);
        crew.task = &task;
        crew.count = count;
        crew.next = 0;
        crew.busy = threads_ - 1;
        ++crew.round;
    }
    crew.begin.notify_all();
    take_tasks(crew.next, count, task, 0);
    if (crew.may_spin) spin_until([&] { return crew.busy == 0; });
    std::unique_lock lock(crew.mutex);
    crew.done.wait(lock, [&] { return crew.busy == 0; });
}

} // namespace lenet
