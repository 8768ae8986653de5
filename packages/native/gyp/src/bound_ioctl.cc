// bindIoctl: one ioctl(2) request on one file, made again and again.
//
// The argument lies where the kernel works on it, and the function's data points to it: a call copies nothing and reads
// no argument, which makes it a quarter of the cost of ioctl().
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "addon.h"
#include "argument_check.h"
#include "deferred_unmap.h"
#include "mapping.h"
#include "shared_closure.h"

namespace vfio_native {
namespace {

constexpr int64_t longestArgument = 4096;

// Shared by the ArrayBuffer and the functions.
struct BoundIoctl {
  explicit BoundIoctl(napi_env owner) : env(owner) {}
  BoundIoctl(const BoundIoctl&) = delete;
  ~BoundIoctl() {
    if (buffer != nullptr) napi_delete_reference(env, buffer);
  }

  napi_env env;
  int fd = -1;
  unsigned long request = 0;
  // Pages for the argument, and an inaccessible one behind.
  Mapping mapping;
  // The argument, directly before the inaccessible page; null after close.
  uint8_t* argument = nullptr;
  size_t length = 0;
  std::shared_ptr<DeferredUnmap> deferred;
  napi_ref buffer = nullptr;  // weak; the functions keep the buffer alive
};

int mapArgument(BoundIoctl& bound, size_t length) {
  const size_t page = systemPageSize();
  const size_t room = (length + page - 1) / page * page;
  MapRequest request;
  request.length = room + page;
  request.prot = PROT_READ | PROT_WRITE;
  request.flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const int result = bound.mapping.map(request);
  if (result != 0) return result;
  uint8_t* guard = bound.mapping.base() + room;
  if (mprotect(guard, page, PROT_NONE) != 0) return -errno;
  bound.argument = guard - length;
  bound.length = length;
  return 0;
}

// Called when no ArrayBuffer shows the argument any more, or when the environment ends.
void onArgumentGone(napi_env, void*, void* hint) {
  const std::unique_ptr<std::shared_ptr<BoundIoctl>> holder(static_cast<std::shared_ptr<BoundIoctl>*>(hint));
  BoundIoctl& bound = **holder;
  bound.argument = nullptr;
  if (bound.mapping.base() != nullptr) bound.deferred->add(std::move(bound.mapping));
}

napi_value call(napi_env env, napi_callback_info info) {
  const auto* bound = closureState<BoundIoctl>(env, info);
  if (bound->argument == nullptr) return int32Value(env, -EBADF);
  const int result = ::ioctl(bound->fd, bound->request, bound->argument);
  return int32Value(env, result < 0 ? -errno : result);
}

napi_value close(napi_env env, napi_callback_info info) {
  auto* bound = closureState<BoundIoctl>(env, info);
  if (bound->argument == nullptr) return int32Value(env, -EBADF);
  bound->argument = nullptr;
  napi_value buffer = nullptr;
  void* data = nullptr;
  size_t length = 0;
  napi_get_reference_value(env, bound->buffer, &buffer);
  if (buffer != nullptr) napi_get_arraybuffer_info(env, buffer, &data, &length);
  // A transfer moves the memory to a new ArrayBuffer that is out of reach and may be in use.
  if (length != bound->length || napi_detach_arraybuffer(env, buffer) != napi_ok) return int32Value(env, -EBUSY);
  return int32Value(env, bound->mapping.unmap());
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

  bound->deferred = DeferredUnmap::of(env);
  if (bound->deferred == nullptr) return Napi::Number::New(env, -ECANCELED);
  const int result = mapArgument(*bound, length);
  if (result != 0) return Napi::Number::New(env, result);

  // Given away also on failure: Node calls the finalizer then in some cases, and in others it does not.
  auto* holder = new std::shared_ptr<BoundIoctl>(bound);
  napi_value buffer = nullptr;
  if (napi_create_external_arraybuffer(env, bound->argument, length, onArgumentGone, holder, &buffer) != napi_ok) {
    napi_value ignored = nullptr;
    napi_get_and_clear_last_exception(env, &ignored);
    return Napi::Number::New(env, -EOPNOTSUPP);
  }
  napi_create_reference(env, buffer, 0, &bound->buffer);
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
