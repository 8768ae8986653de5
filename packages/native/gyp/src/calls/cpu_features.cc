#include "calls/cpu_features.h"

#include "addon.h"
#include "memory/mapping.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace vfio_native {
namespace {

CpuFeatures detect() {
#if defined(__x86_64__)
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  // Leaf 7, ECX bit 28 (Intel SDM volume 2, CPUID).
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) return {(ecx & (1u << 28)) != 0};
#endif
  return {false};
}

Napi::Value cpuFeaturesObject(const Napi::CallbackInfo& info) {
  const auto object = Napi::Object::New(info.Env());
  object.Set("movdir64b", cpuFeatures().movdir64b);
  return object;
}

Napi::Value pageSize(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(systemPageSize()));
}

}  // namespace

const CpuFeatures& cpuFeatures() {
  static const CpuFeatures features = detect();
  return features;
}

void addCpu(Napi::Env env, Napi::Object exports) {
  addFunction<cpuFeaturesObject>(env, exports, "cpuFeatures");
  addFunction<pageSize>(env, exports, "pageSize");
}

}  // namespace vfio_native
