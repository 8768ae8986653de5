// Deadlines, and a poll(2) that keeps them.
#pragma once

#include <cstdint>

namespace vfio_native {

constexpr int64_t longestBlockingWaitMs = 60'000;
constexpr int64_t longestSpinMicroseconds = 1000;

int64_t monotonicNanoseconds();

class Deadline {
 public:
  explicit Deadline(int64_t milliseconds) : end_(monotonicNanoseconds() + milliseconds * 1'000'000) {}

  // Never negative.
  int64_t remainingNanoseconds() const;

 private:
  int64_t end_;
};

// Ready events (> 0), 0 at the deadline, or -errno. A signal does not end the wait.
int pollUntil(int fd, short events, const Deadline& deadline);

}  // namespace vfio_native
