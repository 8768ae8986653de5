#include "sockets/socket_transfer.h"

#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "waiting/waiting.h"

namespace vfio_native {
namespace {

// How often a spinning receive looks before it gives up the CPU and reads the clock. Each of both costs as much as a look,
// which is time in which an answer waits: a register read of a model takes a tenth longer with 1.
constexpr unsigned looksPerYield = 8;

constexpr size_t controlSpace = CMSG_SPACE(maximumDescriptors * sizeof(int));

// Leaves the bus to the peer for some cycles.
void relaxProcessor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Removes the sent bytes from the front of the parts.
void consume(msghdr* message, size_t sent) {
  while (sent > 0) {
    iovec& first = message->msg_iov[0];
    const size_t taken = std::min(sent, first.iov_len);
    first.iov_base = static_cast<uint8_t*>(first.iov_base) + taken;
    first.iov_len -= taken;
    sent -= taken;
    if (first.iov_len > 0) continue;
    message->msg_iov++;
    message->msg_iovlen--;
  }
}

void takeDescriptors(msghdr* message, Received* received) {
  if ((message->msg_flags & MSG_CTRUNC) != 0) received->fdsTruncated = true;
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t index = 0; index < count; index++) {
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header) + index * sizeof(int), sizeof fd);
      received->fds.emplace_back(fd);
    }
  }
}

// One recvmsg that does not block. Bytes received, 0 at the end of the stream, or -errno.
int64_t receiveOnce(const ReceiveRequest& request, size_t done, Received* received) {
  iovec part = {request.into.data + done, request.into.length - done};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) uint8_t control[controlSpace];
  const size_t room = request.maxFds - received->fds.size();
  if (room > 0) {
    message.msg_control = control;
    // Not CMSG_SPACE, because its padding would admit one descriptor more.
    message.msg_controllen = CMSG_LEN(room * sizeof(int));
  }
  const ssize_t length = recvmsg(request.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return -errno;
  takeDescriptors(&message, received);
  return length;
}

}  // namespace

int64_t sendAll(int fd, iovec* parts, size_t partCount, const std::vector<int>& fds, int64_t timeoutMs) {
  size_t total = 0;
  for (size_t index = 0; index < partCount; index++) total += parts[index].iov_len;
  // A stream carries descriptors only along with a byte.
  if (total == 0) return fds.empty() ? 0 : -EINVAL;

  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = partCount;
  alignas(cmsghdr) uint8_t control[controlSpace];
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    memset(control, 0, message.msg_controllen);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
  }

  size_t done = 0;
  // Only a call that has to wait reads the clock, here and below.
  std::optional<Deadline> deadline;
  while (true) {
    // In the common case, send(2) does the work of sendmsg(2), a tenth cheaper.
    const iovec& first = message.msg_iov[0];
    const ssize_t sent = message.msg_iovlen == 1 && message.msg_control == nullptr
                             ? send(fd, first.iov_base, first.iov_len, MSG_DONTWAIT | MSG_NOSIGNAL)
                             : sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      done += static_cast<size_t>(sent);
      if (done == total) return static_cast<int64_t>(total);
      consume(&message, static_cast<size_t>(sent));
      message.msg_control = nullptr;
      message.msg_controllen = 0;
    } else if (errno == EAGAIN) {
      if (!deadline) deadline.emplace(timeoutMs);
      const int ready = pollUntil(fd, POLLOUT, *deadline);
      if (ready < 0) return ready;
      if (ready == 0) return -ETIMEDOUT;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

Received receive(const ReceiveRequest& request) {
  Received received;
  size_t done = 0;
  int64_t spinEnd = 0;
  std::optional<Deadline> deadline;
  unsigned looks = 0;
  // Who spins has just sent something, and the answer cannot be there yet: a look would be in vain. The peer may be
  // waiting for this very CPU.
  if (request.spinNanoseconds > 0) sched_yield();
  while (true) {
    const int64_t length = receiveOnce(request, done, &received);
    if (length >= 0) {
      done += static_cast<size_t>(length);
      received.length = static_cast<int64_t>(done);
      if (length == 0 || !request.waitAll || done == request.into.length) return received;
      continue;
    }
    int64_t failure = length == -EINTR ? 0 : length;
    if (length == -EAGAIN) {
      failure = 0;
      if (!deadline) {
        spinEnd = monotonicNanoseconds() + request.spinNanoseconds;
        deadline.emplace(request.timeoutMs + (request.spinNanoseconds + 999'999) / 1'000'000);
      }
      if (request.spinNanoseconds > 0 && (++looks % looksPerYield != 0 || monotonicNanoseconds() < spinEnd)) {
        // The peer may have come to this very CPU. Give it up now and then instead of burning the rest of the spin.
        if (looks % looksPerYield == 0) sched_yield();
        else relaxProcessor();
      } else if (request.timeoutMs == 0) {
        failure = -ETIMEDOUT;
      } else {
        const int ready = pollUntil(request.fd, POLLIN, *deadline);
        if (ready <= 0) failure = ready == 0 ? -ETIMEDOUT : ready;
      }
    }
    if (failure == 0) continue;
    // The bytes before the failure are not lost. The next call meets the failure again.
    if (done == 0) received.length = failure;
    return received;
  }
}

}  // namespace vfio_native
