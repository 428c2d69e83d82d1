// All turns of this process, which a fork takes and gives back on both sides.

#include "turn.hpp"

#include <algorithm>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace lenet {

namespace {

struct Turns {
    std::mutex mutex; // taken before any turn
    std::vector<Turn*> all;
};

// Never destroyed: a thread that the process leaves behind at its end may still hold a turn.
Turns& turns() {
    static Turns& only = *new Turns;
    return only;
}

#if defined(__unix__) || defined(__APPLE__)
void take_all() {
    turns().mutex.lock();
    for (Turn* turn : turns().all) turn->lock();
}

void give_all_back() {
    for (Turn* turn : turns().all) turn->unlock();
    turns().mutex.unlock();
}

void watch_forks() {
    [[maybe_unused]] static const int watched =
        pthread_atfork(take_all, give_all_back, give_all_back);
}
#else
void watch_forks() {}
#endif

} // namespace

Turn::Turn() {
    watch_forks();
    const std::lock_guard lock(turns().mutex);
    turns().all.push_back(this);
}

Turn::~Turn() {
    const std::lock_guard lock(turns().mutex);
    std::erase(turns().all, this);
}

} // namespace lenet
