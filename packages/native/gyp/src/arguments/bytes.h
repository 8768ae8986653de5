// The memory that a typed array or DataView shows.
#pragma once

#include <node_api.h>

#include <cstddef>
#include <cstdint>

namespace vfio_native {

// Valid until control returns to JavaScript. `data` may be null when `length` is 0.
struct Bytes {
  uint8_t* data = nullptr;
  size_t length = 0;
};

enum class ViewStatus { viewed, detached, notAView };

ViewStatus viewedBytes(napi_env env, napi_value value, Bytes* bytes);

}  // namespace vfio_native
