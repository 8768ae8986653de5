// Unix stream sockets that carry bytes and file descriptors.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "arguments/argument_check.h"
#include "sockets/socket_transfer.h"
#include "arguments/unique_descriptor.h"
#include "waiting/waiting.h"

namespace vfio_native {
namespace {

constexpr size_t maximumParts = 16;

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
  // Non-blocking, so that accept does not block when the client that poll announced has gone.
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
  // Non-blocking, so that a full backlog is -EAGAIN instead of an unbounded wait.
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

Napi::Value sendMessage(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "sendMessage");
  const int fd = check.descriptor(info[0]);
  // Read both arrays before any bytes: see argument_check.h.
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
  const int64_t result = sendAll(fd, parts.data(), partValues.size(), fds, timeoutMs);
  return Napi::Number::New(info.Env(), static_cast<double>(result));
}

Napi::Value receiveMessage(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "receiveMessage");
  const ReceiveRequest request = {
      check.descriptor(info[0]),
      check.bytes(info[1], "into"),
      static_cast<size_t>(check.integer(info[2], "maxFds", 0, maximumDescriptors)),
      check.integer(info[3], "spinMicroseconds", 0, longestSpinMicroseconds) * 1000,
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
