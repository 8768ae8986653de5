// mapMemory: ordinary memory as an external ArrayBuffer.
#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "addon.h"
#include "deferred_unmap.h"
#include "map_options.h"
#include "mapping.h"
#include "shared_closure.h"

namespace vfio_native {
namespace {

// Shared by the ArrayBuffer and the unmap function.
struct MappedMemory {
  explicit MappedMemory(napi_env owner) : env(owner) {}
  MappedMemory(const MappedMemory&) = delete;
  ~MappedMemory() {
    if (buffer != nullptr) napi_delete_reference(env, buffer);
  }

  napi_env env;
  Mapping mapping;
  std::shared_ptr<DeferredUnmap> deferred;
  napi_ref buffer = nullptr;  // weak; the unmap function keeps the buffer alive
};

// Called when no ArrayBuffer shows the memory any more, or when the environment ends.
void onBufferGone(napi_env, void*, void* hint) {
  const std::unique_ptr<std::shared_ptr<MappedMemory>> holder(static_cast<std::shared_ptr<MappedMemory>*>(hint));
  MappedMemory& memory = **holder;
  if (memory.mapping.base() != nullptr) memory.deferred->add(std::move(memory.mapping));
}

napi_value unmap(napi_env env, napi_callback_info info) {
  auto* memory = closureState<MappedMemory>(env, info);
  if (memory->mapping.base() == nullptr) return int32Value(env, -EBADF);
  napi_value buffer = nullptr;
  void* data = nullptr;
  size_t length = 0;
  napi_get_reference_value(env, memory->buffer, &buffer);
  if (buffer != nullptr) napi_get_arraybuffer_info(env, buffer, &data, &length);
  // A transfer moves the memory to a new ArrayBuffer that is out of reach and may be in use.
  if (length != memory->mapping.length()) return int32Value(env, -EBUSY);
  if (napi_detach_arraybuffer(env, buffer) != napi_ok) return int32Value(env, -EBUSY);
  return int32Value(env, memory->mapping.unmap());
}

// An ArrayBuffer that shows the memory. 0 or -errno.
int makeBuffer(napi_env env, const std::shared_ptr<MappedMemory>& memory, napi_value* buffer) {
  // Given away also on failure: Node calls the finalizer then in some cases, and in others it does not.
  auto* holder = new std::shared_ptr<MappedMemory>(memory);
  const napi_status status = napi_create_external_arraybuffer(env, memory->mapping.base(), memory->mapping.length(),
                                                              onBufferGone, holder, buffer);
  if (status == napi_ok) return 0;
  napi_value ignored = nullptr;
  napi_get_and_clear_last_exception(env, &ignored);
  return status == napi_no_external_buffers_allowed ? -EOPNOTSUPP : -EFBIG;
}

Napi::Value mapMemory(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "mapMemory");
  const MapRequest request = readMapOptions(check, info[0]);
  if (request.prot != (PROT_READ | PROT_WRITE)) {
    // JavaScript has no read-only ArrayBuffer: the first store would be a segmentation fault.
    check.outOfRange(Napi::Number::New(env, request.prot), "options.prot",
                     "PROT_READ | PROT_WRITE (mapIo takes the others)");
  }
  if (check.failed()) return {};

  const auto memory = std::make_shared<MappedMemory>(env);
  memory->deferred = DeferredUnmap::of(env);
  if (memory->deferred == nullptr) return Napi::Number::New(env, -ECANCELED);
  int result = memory->mapping.map(request);
  if (result != 0) return Napi::Number::New(env, result);
  napi_value buffer = nullptr;
  result = makeBuffer(env, memory, &buffer);
  if (result != 0) {
    memory->mapping.unmap();
    return Napi::Number::New(env, result);
  }

  const auto address = reinterpret_cast<uint64_t>(memory->mapping.base());
  const auto length = static_cast<double>(memory->mapping.length());
  napi_create_reference(env, buffer, 0, &memory->buffer);
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
