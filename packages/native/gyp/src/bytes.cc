#include "bytes.h"

namespace vfio_native {
namespace {

size_t elementSize(napi_typedarray_type type) {
  switch (type) {
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
  napi_typedarray_type type = napi_uint8_array;
  size_t length = 0;
  void* data = nullptr;
  napi_value buffer = nullptr;
  // The call refuses what is no typed array by its status, which is cheaper than asking first.
  if (napi_get_typedarray_info(env, value, &type, &length, &data, &buffer, nullptr) == napi_ok) {
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
