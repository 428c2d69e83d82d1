// A mutex that no fork finds taken: the fork waits, so that a child inherits nothing half done.
#pragma once

#if defined(LENET_SERIAL)
#include "serial.hpp"
#else

#include <mutex>

namespace lenet {

// For std::lock_guard.  Whoever has the turn must not fork before it gives it back.
class Turn {
public:
    Turn();
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    std::mutex mutex_;
};

} // namespace lenet

#endif // LENET_SERIAL
