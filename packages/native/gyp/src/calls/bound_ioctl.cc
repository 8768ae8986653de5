// bindIoctl: one ioctl(2) request on one file, made again and again.
//
// The argument lies where the kernel works on it, and the function's data points to it. A call copies nothing and reads
// no argument, so it costs a quarter of ioctl().
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>

#include "addon.h"
#include "arguments/argument_check.h"
#include "memory/external_memory.h"
#include "arguments/shared_closure.h"

namespace vfio_native {
namespace {

constexpr int64_t longestArgument = 4096;

// The state that the functions share.
struct BoundIoctl {
  explicit BoundIoctl(napi_env env) : memory(std::make_shared<ExternalMemory>(env)) {}

  int fd = -1;
  unsigned long request = 0;
  // Pages for the argument, and an inaccessible page behind them.
  std::shared_ptr<ExternalMemory> memory;
  // Directly before the inaccessible page.
  uint8_t* argument = nullptr;
};

int mapArgument(BoundIoctl& bound, size_t length) {
  const size_t page = systemPageSize();
  const size_t room = (length + page - 1) / page * page;
  MapRequest request;
  request.length = room + page;
  request.prot = PROT_READ | PROT_WRITE;
  request.flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const int result = bound.memory->map(request);
  if (result != 0) return result;
  uint8_t* guard = bound.memory->base() + room;
  if (mprotect(guard, page, PROT_NONE) != 0) return -errno;
  bound.argument = guard - length;
  return 0;
}

napi_value call(napi_env env, napi_callback_info info) {
  const auto* bound = closureState<BoundIoctl>(env, info);
  if (bound->memory->retired()) return int32Value(env, -EBADF);
  const int result = ::ioctl(bound->fd, bound->request, bound->argument);
  // Undefined stands for 0: making a number is a third of what a call costs beside the ioctl itself.
  return result == 0 ? nullptr : int32Value(env, result < 0 ? -errno : result);
}

napi_value close(napi_env env, napi_callback_info info) {
  return int32Value(env, closureState<BoundIoctl>(env, info)->memory->retire());
}

Napi::Value bindIoctl(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "bindIoctl");
  const auto bound = std::make_shared<BoundIoctl>(env);
  bound->fd = check.descriptor(info[0]);
  bound->request = check.bits32(info[1], "request");
  const auto length = static_cast<size_t>(check.integer(info[2], "length", 8, longestArgument));
  if (length % 8 != 0) check.outOfRange(info[2], "length", "a multiple of 8");
  if (check.failed()) return {};

  int result = mapArgument(*bound, length);
  if (result != 0) return Napi::Number::New(env, result);
  napi_value buffer = nullptr;
  result = bound->memory->show(bound->argument, length, &buffer);
  if (result != 0) return Napi::Number::New(env, result);
  napi_value callFunction = makeClosure(env, "call", call, bound);
  napi_value closeFunction = makeClosure(env, "close", close, bound);
  const napi_property_descriptor hold = {"argument", nullptr, nullptr, nullptr, nullptr, buffer, napi_default, nullptr};
  napi_define_properties(env, callFunction, 1, &hold);
  napi_define_properties(env, closeFunction, 1, &hold);

  const napi_property_descriptor properties[] = {
      readOnly("argument", buffer),
      readOnly("call", callFunction),
      readOnly("close", closeFunction),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

}  // namespace

void addBoundIoctl(Napi::Env env, Napi::Object exports) {
  addFunction<bindIoctl>(env, exports, "bindIoctl");
}

}  // namespace vfio_native
