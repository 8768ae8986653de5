// JavaScript functions that share one C++ object, which lives until the last of them is garbage.
#pragma once

#include <node_api.h>

#include <memory>

namespace vfio_native {

template <typename State>
napi_value makeClosure(napi_env env, const char* name, napi_callback callback, const std::shared_ptr<State>& state) {
  napi_value closure = nullptr;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, state.get(), &closure) != napi_ok) return nullptr;
  auto holder = std::make_unique<std::shared_ptr<State>>(state);
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<State>*>(data); };
  if (napi_add_finalizer(env, closure, holder.get(), release, nullptr, nullptr) != napi_ok) return nullptr;
  holder.release();
  return closure;
}

// The state of a function made by makeClosure, and its arguments. Missing arguments are undefined.
template <typename State, size_t count>
State* closureState(napi_env env, napi_callback_info info, napi_value (&arguments)[count]) {
  size_t given = count;
  void* state = nullptr;
  napi_get_cb_info(env, info, &given, arguments, nullptr, &state);
  return static_cast<State*>(state);
}

template <typename State>
State* closureState(napi_env env, napi_callback_info info) {
  void* state = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &state);
  return static_cast<State*>(state);
}

inline napi_value int32Value(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

// A property that cannot be changed or deleted.
inline napi_property_descriptor readOnly(const char* name, napi_value value) {
  return {name, nullptr, nullptr, nullptr, nullptr, value, napi_enumerable, nullptr};
}

}  // namespace vfio_native
