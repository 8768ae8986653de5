#include "arguments/bytes.h"

namespace vfio_native {
namespace {

// Float16Array exists from Node 24 on. Older headers have no name for it.
constexpr int float16Array = 11;
// Node-API leaves the type alone when it has no number for it, as Node 24's first releases do for Float16Array.
// 15 is the largest value of the enumeration's bits; a cast of another one is no constant to clang.
constexpr auto unknownType = static_cast<napi_typedarray_type>(15);

size_t elementSize(int type) {
  switch (type) {
    case float16Array:
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    case napi_float64_array:
    case napi_bigint64_array:
    case napi_biguint64_array:
      return 8;
    default:
      return 1;
  }
}

ViewStatus attached(napi_env env, napi_value buffer, const Bytes& bytes) {
  if (bytes.length > 0) return ViewStatus::viewed;
  bool detached = false;
  napi_is_detached_arraybuffer(env, buffer, &detached);
  return detached ? ViewStatus::detached : ViewStatus::viewed;
}

}  // namespace

ViewStatus viewedBytes(napi_env env, napi_value value, Bytes* bytes) {
  napi_typedarray_type type = unknownType;
  size_t length = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  // The call's status refuses anything but a typed array, which is cheaper than asking first.
  if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, nullptr) == napi_ok) {
    if (type == unknownType) return ViewStatus::notAView;
    *bytes = {static_cast<uint8_t*>(data), length * elementSize(type)};
    return attached(env, buffer, *bytes);
  }
  if (napi_get_dataview_info(env, value, &length, &data, &buffer, nullptr) == napi_ok) {
    *bytes = {static_cast<uint8_t*>(data), length};
    return attached(env, buffer, *bytes);
  }
  return ViewStatus::notAView;
}

}  // namespace vfio_native
