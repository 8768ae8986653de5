#include "waiting/waiting.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace vfio_native {

int64_t monotonicNanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

int64_t Deadline::remainingNanoseconds() const {
  return std::max<int64_t>(0, end_ - monotonicNanoseconds());
}

int pollUntil(int fd, short events, const Deadline& deadline) {
  if (fd < 0) return -EBADF;  // poll(2) would ignore it
  while (true) {
    pollfd polled = {fd, events, 0};
    const int64_t left = deadline.remainingNanoseconds();
    const timespec timeout = {left / 1'000'000'000, left % 1'000'000'000};
    const int count = ppoll(&polled, 1, &timeout, nullptr);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    if ((polled.revents & POLLNVAL) != 0) return -EBADF;
    return polled.revents;
  }
}

}  // namespace vfio_native
