// Each part of the addon adds its functions to the exports.
#pragma once

#include <napi.h>

#include <cerrno>

namespace vfio_native {

void addBoundIoctl(Napi::Env env, Napi::Object exports);
void addBoundSocket(Napi::Env env, Napi::Object exports);
void addCpu(Napi::Env env, Napi::Object exports);
void addDescriptors(Napi::Env env, Napi::Object exports);
void addFailNth(Napi::Env env, Napi::Object exports);
void addKexec(Napi::Env env, Napi::Object exports);
void addIoctl(Napi::Env env, Napi::Object exports);
void addMappedIo(Napi::Env env, Napi::Object exports);
void addMappedMemory(Napi::Env env, Napi::Object exports);
void addPoller(Napi::Env env, Napi::Object exports);
void addSockets(Napi::Env env, Napi::Object exports);
void addThreads(Napi::Env env, Napi::Object exports);

template <Napi::Value (*implementation)(const Napi::CallbackInfo&)>
void addFunction(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<implementation>(env, name));
}

// The result of a system call that returns -1 and sets errno on failure.
inline Napi::Value systemCallResult(Napi::Env env, int64_t result) {
  return Napi::Number::New(env, static_cast<double>(result < 0 ? -errno : result));
}

}  // namespace vfio_native
