// Unix stream sockets that carry bytes and file descriptors.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "addon.h"
#include "argument_check.h"
#include "unique_descriptor.h"
#include "waiting.h"

namespace vfio_native {
namespace {

constexpr size_t maximumParts = 16;
constexpr size_t maximumDescriptors = 253;  // SCM_MAX_FD of the kernel
constexpr size_t controlSpace = CMSG_SPACE(maximumDescriptors * sizeof(int));

// 0 or -errno.
int socketAddress(const std::string& path, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  if (path.size() >= sizeof address->sun_path) return -ENAMETOOLONG;
  if (path.empty()) return -ENOENT;
  memcpy(address->sun_path, path.c_str(), path.size() + 1);
  return 0;
}

Napi::Value socketpair(const Napi::CallbackInfo& info) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return systemCallResult(info.Env(), -1);
  const auto pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Napi::Number::New(info.Env(), fds[0]));
  pair.Set(1u, Napi::Number::New(info.Env(), fds[1]));
  return pair;
}

int listenAt(const std::string& path, int backlog) {
  sockaddr_un address;
  const int result = socketAddress(path, &address);
  if (result != 0) return result;
  // Non-blocking, so that accept does not block when a client that poll announced has gone.
  UniqueDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (listener.get() < 0) return -errno;
  if (bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -errno;
  if (listen(listener.get(), backlog) != 0) return -errno;
  return listener.release();
}

Napi::Value unixListen(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "unixListen");
  const std::string path = check.text(info[0], "path");
  const auto backlog = static_cast<int>(check.integer(info[1], "backlog", 0, INT32_MAX));
  if (check.failed()) return {};
  return Napi::Number::New(info.Env(), listenAt(path, backlog));
}

int acceptUntil(int fd, const Deadline& deadline) {
  while (true) {
    const int ready = pollUntil(fd, POLLIN, deadline);
    if (ready < 0) return ready;
    if (ready == 0) return -ETIMEDOUT;
    const int accepted = accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted >= 0) return accepted;
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) return -errno;
  }
}

Napi::Value unixAccept(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "unixAccept");
  const int fd = check.descriptor(info[0]);
  const int64_t timeoutMs = check.integer(info[1], "timeoutMs", 0, longestBlockingWaitMs);
  if (check.failed()) return {};
  return Napi::Number::New(info.Env(), acceptUntil(fd, Deadline(timeoutMs)));
}

int connectTo(const std::string& path) {
  sockaddr_un address;
  const int result = socketAddress(path, &address);
  if (result != 0) return result;
  // Non-blocking, so that a full backlog is -EAGAIN instead of a wait without bound.
  UniqueDescriptor client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (client.get() < 0) return -errno;
  if (connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return -errno;
  if (fcntl(client.get(), F_SETFL, 0) != 0) return -errno;
  return client.release();
}

Napi::Value unixConnect(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "unixConnect");
  const std::string path = check.text(info[0], "path");
  if (check.failed()) return {};
  return Napi::Number::New(info.Env(), connectTo(path));
}

// Removes what was sent from the front of the parts.
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

int64_t sendAll(int fd, iovec* parts, size_t partCount, const std::vector<int>& fds, const Deadline& deadline) {
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
  while (true) {
    const ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      done += static_cast<size_t>(sent);
      if (done == total) return static_cast<int64_t>(total);
      consume(&message, static_cast<size_t>(sent));
      message.msg_control = nullptr;
      message.msg_controllen = 0;
    } else if (errno == EAGAIN) {
      const int ready = pollUntil(fd, POLLOUT, deadline);
      if (ready < 0) return ready;
      if (ready == 0) return -ETIMEDOUT;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
}

Napi::Value sendMessage(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "sendMessage");
  const int fd = check.descriptor(info[0]);
  // Both arrays are read before any bytes, see argument_check.h.
  const auto partValues = check.elements(info[1], "parts", maximumParts);
  const auto fdValues = check.elements(info[2], "fds", maximumDescriptors);
  const int64_t timeoutMs = check.integer(info[3], "timeoutMs", 0, longestBlockingWaitMs);
  std::vector<int> fds;
  for (const Napi::Value& value : fdValues) fds.push_back(check.descriptor(value, "an element of fds"));
  std::array<iovec, maximumParts> parts = {};
  for (size_t index = 0; index < partValues.size(); index++) {
    const Bytes bytes = check.bytes(partValues[index], "an element of parts");
    parts[index] = {bytes.data, bytes.length};
  }
  if (check.failed()) return {};
  const int64_t result = sendAll(fd, parts.data(), partValues.size(), fds, Deadline(timeoutMs));
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

struct Received {
  int64_t length = 0;
  std::vector<UniqueDescriptor> fds;
  bool fdsTruncated = false;
};

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

struct ReceiveRequest {
  int fd;
  Bytes into;
  size_t maxFds;
  int64_t spinNanoseconds;
  int64_t timeoutMs;
  bool waitAll;
};

// One recvmsg that does not block: bytes received, 0 at the end of the stream, or -errno.
int64_t receiveOnce(const ReceiveRequest& request, size_t done, Received* received) {
  iovec part = {request.into.data + done, request.into.length - done};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) uint8_t control[controlSpace];
  const size_t room = request.maxFds - received->fds.size();
  if (room > 0) {
    message.msg_control = control;
    // Not CMSG_SPACE: its padding would admit one descriptor more.
    message.msg_controllen = CMSG_LEN(room * sizeof(int));
  }
  const ssize_t length = recvmsg(request.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return -errno;
  takeDescriptors(&message, received);
  return length;
}

Received receive(const ReceiveRequest& request) {
  Received received;
  size_t done = 0;
  const int64_t spinEnd = monotonicNanoseconds() + request.spinNanoseconds;
  const Deadline deadline(request.timeoutMs + (request.spinNanoseconds + 999'999) / 1'000'000);
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
      if (request.spinNanoseconds > 0 && monotonicNanoseconds() < spinEnd) {
        // The peer may be waiting for this very CPU: give it up rather than burn the rest of the spin.
        sched_yield();
      } else {
        const int ready = pollUntil(request.fd, POLLIN, deadline);
        if (ready <= 0) failure = ready == 0 ? -ETIMEDOUT : ready;
      }
    }
    if (failure == 0) continue;
    // What came before the failure is not lost; the next call meets the failure again.
    if (done == 0) received.length = failure;
    return received;
  }
}

Napi::Value receiveMessage(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "receiveMessage");
  const ReceiveRequest request = {
      check.descriptor(info[0]),
      check.bytes(info[1], "into"),
      static_cast<size_t>(check.integer(info[2], "maxFds", 0, maximumDescriptors)),
      check.integer(info[3], "spinMicroseconds", 0, 1000) * 1000,
      check.integer(info[4], "timeoutMs", 0, longestBlockingWaitMs),
      check.boolean(info[5], "waitAll"),
  };
  if (request.into.length == 0) {
    check.outOfRange(Napi::Number::New(env, 0), "the length of into", "at least 1 byte");
  }
  if (check.failed()) return {};
  Received received = receive(request);
  const auto fds = Napi::Array::New(env, received.fds.size());
  for (uint32_t index = 0; index < received.fds.size(); index++) {
    fds.Set(index, Napi::Number::New(env, received.fds[index].release()));
  }
  const auto result = Napi::Object::New(env);
  result.Set("length", Napi::Number::New(env, static_cast<double>(received.length)));
  result.Set("fds", fds);
  result.Set("fdsTruncated", Napi::Boolean::New(env, received.fdsTruncated));
  return result;
}

}  // namespace

void addSockets(Napi::Env env, Napi::Object exports) {
  addFunction<socketpair>(env, exports, "socketpair");
  addFunction<unixListen>(env, exports, "unixListen");
  addFunction<unixAccept>(env, exports, "unixAccept");
  addFunction<unixConnect>(env, exports, "unixConnect");
  addFunction<sendMessage>(env, exports, "sendMessage");
  addFunction<receiveMessage>(env, exports, "receiveMessage");
}

}  // namespace vfio_native
