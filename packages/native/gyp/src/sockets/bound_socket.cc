// bindSocket: one stream socket and the memory of its messages, for many short messages.
//
// The functions know descriptor and memory already. A call reads a few small numbers and makes no object. For a message
// of some bytes, arguments and objects are most of the cost of sendMessage and receiveMessage.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "addon.h"
#include "arguments/argument_check.h"
#include "arguments/bytes.h"
#include "arguments/shared_closure.h"
#include "sockets/socket_transfer.h"
#include "waiting/waiting.h"

namespace vfio_native {
namespace {

// Words before the descriptors in their memory: how many came, and whether more did.
constexpr size_t descriptorHeader = 2;

struct BoundSocket {
  explicit BoundSocket(napi_env owner) : env(owner) {}
  BoundSocket(const BoundSocket&) = delete;
  ~BoundSocket() {
    for (napi_ref view : {output, input, fds}) {
      if (view != nullptr) napi_delete_reference(env, view);
    }
  }

  napi_env env;
  int fd = -1;
  napi_ref output = nullptr;
  napi_ref input = nullptr;
  napi_ref fds = nullptr;
};

// The memory of a view; nothing for a detached view.
Bytes memoryOf(napi_env env, napi_ref reference) {
  napi_value view = nullptr;
  Bytes bytes;
  if (napi_get_reference_value(env, reference, &view) != napi_ok || view == nullptr) return {};
  return viewedBytes(env, view, &bytes) == ViewStatus::viewed ? bytes : Bytes{};
}

// A number from 0 to `maximum`; -1 for anything else.
int64_t count(napi_env env, napi_value value, int64_t maximum) {
  int64_t number = -1;
  if (napi_get_value_int64(env, value, &number) != napi_ok) return -1;
  return number >= 0 && number <= maximum ? number : -1;
}

napi_value send(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  const auto* bound = closureState<BoundSocket>(env, info, arguments);
  const Bytes output = memoryOf(env, bound->output);
  const int64_t length = count(env, arguments[0], static_cast<int64_t>(output.length));
  const int64_t timeoutMs = count(env, arguments[1], longestBlockingWaitMs);
  if (length < 1 || timeoutMs < 0) return int32Value(env, -EINVAL);
  iovec part = {output.data, static_cast<size_t>(length)};
  static const std::vector<int> none;
  const int64_t result = sendAll(bound->fd, &part, 1, none, timeoutMs);
  return int32Value(env, result < 0 ? static_cast<int32_t>(result) : 0);
}

napi_value receiveInto(napi_env env, napi_callback_info info) {
  napi_value arguments[4];
  const auto* bound = closureState<BoundSocket>(env, info, arguments);
  const Bytes input = memoryOf(env, bound->input);
  const Bytes fds = memoryOf(env, bound->fds);
  const auto size = static_cast<int64_t>(input.length);
  const int64_t offset = count(env, arguments[0], size);
  const int64_t length = count(env, arguments[1], size);
  const int64_t spinMicroseconds = count(env, arguments[2], longestSpinMicroseconds);
  const int64_t timeoutMs = count(env, arguments[3], longestBlockingWaitMs);
  const bool fits =
      offset >= 0 && length >= 1 && offset + length <= size && fds.length >= descriptorHeader * sizeof(int);
  if (!fits || spinMicroseconds < 0 || timeoutMs < 0) return int32Value(env, -EINVAL);

  const size_t room = std::min(fds.length / sizeof(int) - descriptorHeader, maximumDescriptors);
  Received received = receive(
      {bound->fd, {input.data + offset, static_cast<size_t>(length)}, room, spinMicroseconds * 1000, timeoutMs, false});
  auto* numbers = reinterpret_cast<int*>(fds.data);
  numbers[0] = static_cast<int>(received.fds.size());
  numbers[1] = received.fdsTruncated ? 1 : 0;
  for (size_t index = 0; index < received.fds.size(); index++) {
    numbers[descriptorHeader + index] = received.fds[index].release();
  }
  return int32Value(env, static_cast<int32_t>(received.length));
}

Napi::Value bindSocket(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "bindSocket");
  const auto bound = std::make_shared<BoundSocket>(env);
  bound->fd = check.descriptor(info[0]);
  check.bytes(info[1], "output");
  check.bytes(info[2], "input");
  const Bytes fds = check.bytes(info[3], "fds");
  if (reinterpret_cast<uintptr_t>(fds.data) % alignof(int) != 0) check.wrongType(info[3], "fds", "an Int32Array");
  if (check.failed()) return {};
  napi_create_reference(env, info[1], 1, &bound->output);
  napi_create_reference(env, info[2], 1, &bound->input);
  napi_create_reference(env, info[3], 1, &bound->fds);
  const napi_property_descriptor properties[] = {
      readOnly("send", makeClosure(env, "send", send, bound)),
      readOnly("receive", makeClosure(env, "receive", receiveInto, bound)),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

}  // namespace

void addBoundSocket(Napi::Env env, Napi::Object exports) {
  addFunction<bindSocket>(env, exports, "bindSocket");
}

}  // namespace vfio_native
