// mapMemory: ordinary memory as an external ArrayBuffer.
#include <sys/mman.h>

#include <cerrno>

#include "addon.h"
#include "memory/external_memory.h"
#include "memory/map_options.h"
#include "arguments/shared_closure.h"

namespace vfio_native {
namespace {

napi_value unmap(napi_env env, napi_callback_info info) {
  return int32Value(env, closureState<ExternalMemory>(env, info)->retire());
}

Napi::Value mapMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "mapMemory");
  const MapRequest request = readMapOptions(check, info[0]);
  if (request.prot != (PROT_READ | PROT_WRITE)) {
    // JavaScript has no read-only ArrayBuffer, so the first store would be a segmentation fault.
    check.outOfRange(Napi::Number::New(env, request.prot), "options.prot",
                     "PROT_READ | PROT_WRITE (mapIo takes the others)");
  }
  if (check.failed()) return {};

  const auto memory = std::make_shared<ExternalMemory>(env);
  int result = memory->map(request);
  if (result != 0) return Napi::Number::New(env, result);
  const auto address = reinterpret_cast<uint64_t>(memory->base());
  const auto length = static_cast<double>(memory->length());
  napi_value buffer = nullptr;
  result = memory->show(memory->base(), memory->length(), &buffer);
  if (result != 0) return Napi::Number::New(env, result);

  // The memory must live as long as `unmap`, because the kernel may know its address.
  napi_value unmapFunction = makeClosure(env, "unmap", unmap, memory);
  const napi_property_descriptor hold = {"buffer", nullptr, nullptr, nullptr, nullptr, buffer, napi_default, nullptr};
  napi_define_properties(env, unmapFunction, 1, &hold);

  const napi_property_descriptor properties[] = {
      readOnly("address", Napi::BigInt::New(env, address)),
      readOnly("length", Napi::Number::New(env, length)),
      readOnly("buffer", buffer),
      readOnly("unmap", unmapFunction),
  };
  const auto object = Napi::Object::New(env);
  napi_define_properties(env, object, std::size(properties), properties);
  return object;
}

}  // namespace

void addMappedMemory(Napi::Env env, Napi::Object exports) {
  addFunction<mapMemory>(env, exports, "mapMemory");
}

}  // namespace vfio_native
