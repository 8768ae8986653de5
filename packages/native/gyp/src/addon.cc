#include "addon.h"

namespace vfio_native {
namespace {

Napi::Object addAll(Napi::Env env, Napi::Object exports) {
  addDescriptors(env, exports);
  addIoctl(env, exports);
  addBoundIoctl(env, exports);
  addBoundSocket(env, exports);
  addMappedMemory(env, exports);
  addMappedIo(env, exports);
  addCpu(env, exports);
  addPoller(env, exports);
  addSockets(env, exports);
  addThreads(env, exports);
  addFailNth(env, exports);
  addKexec(env, exports);
  return exports;
}

}  // namespace
}  // namespace vfio_native

using vfio_native::addAll;
NODE_API_MODULE(vfio_native, addAll)
