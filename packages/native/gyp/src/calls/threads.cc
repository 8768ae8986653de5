// Threads of this process and its resource limits.
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>

#include "addon.h"
#include "arguments/argument_check.h"

namespace vfio_native {
namespace {

// At least as many CPUs as any kernel can be built for.
constexpr size_t maximumCpus = 16384;

class CpuSet {
 public:
  CpuSet() : set_(CPU_ALLOC(maximumCpus)) { CPU_ZERO_S(size(), set_); }
  CpuSet(const CpuSet&) = delete;
  ~CpuSet() { CPU_FREE(set_); }

  static size_t size() { return CPU_ALLOC_SIZE(maximumCpus); }
  cpu_set_t* get() { return set_; }
  bool has(size_t cpu) const { return CPU_ISSET_S(cpu, size(), set_); }
  void add(size_t cpu) { CPU_SET_S(cpu, size(), set_); }

 private:
  cpu_set_t* set_;
};

pid_t threadId(ArgumentCheck& check, Napi::Value value) {
  return static_cast<pid_t>(check.integer(value, "tid", 0, INT32_MAX));
}

Napi::Value gettid(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(syscall(SYS_gettid)));
}

Napi::Value getAffinity(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "getAffinity");
  const pid_t tid = threadId(check, info[0]);
  if (check.failed()) return {};
  CpuSet set;
  if (sched_getaffinity(tid, CpuSet::size(), set.get()) != 0) return systemCallResult(info.Env(), -1);
  const auto cpus = Napi::Array::New(info.Env());
  uint32_t count = 0;
  for (size_t cpu = 0; cpu < maximumCpus; cpu++) {
    if (set.has(cpu)) cpus.Set(count++, Napi::Number::New(info.Env(), static_cast<double>(cpu)));
  }
  return cpus;
}

Napi::Value setAffinity(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "setAffinity");
  const pid_t tid = threadId(check, info[0]);
  CpuSet set;
  for (const Napi::Value& cpu : check.elements(info[1], "cpus", maximumCpus)) {
    set.add(static_cast<size_t>(check.integer(cpu, "an element of cpus", 0, maximumCpus - 1)));
  }
  if (check.failed()) return {};
  return systemCallResult(info.Env(), sched_setaffinity(tid, CpuSet::size(), set.get()));
}

// Some distance from SIGRTMIN, because debuggers and runtimes like to use the first signals.
int interruptSignal() {
  return SIGRTMIN + 7;
}

Napi::Value interruptThread(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "interruptThread");
  const auto tid = static_cast<pid_t>(check.integer(info[0], "tid", 1, INT32_MAX));
  if (check.failed()) return {};
  static const int installed = [] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};  // without SA_RESTART the call under way returns EINTR
    sigemptyset(&action.sa_mask);
    return sigaction(interruptSignal(), &action, nullptr) == 0 ? 0 : -errno;
  }();
  if (installed != 0) return Napi::Number::New(info.Env(), installed);
  return systemCallResult(info.Env(), syscall(SYS_tgkill, getpid(), tid, interruptSignal()));
}

double limitToNumber(rlim_t limit) {
  return limit == RLIM_INFINITY ? std::numeric_limits<double>::infinity() : static_cast<double>(limit);
}

rlim_t limitFromNumber(ArgumentCheck& check, Napi::Value value, const char* name) {
  double number = 0;
  if (napi_get_value_double(value.Env(), value, &number) == napi_ok && std::isinf(number) && number > 0) {
    return RLIM_INFINITY;
  }
  return static_cast<rlim_t>(check.integer(value, name, 0, INT64_MAX));
}

// The system call itself, because the C libraries do not agree on the type of `resource`. Both limits have 64 bits in
// the kernel and in rlimit alike, on the supported architectures.
long resourceLimit(int resource, const rlimit* wanted, rlimit* present) {
  static_assert(sizeof(rlimit) == 2 * sizeof(uint64_t));
  return syscall(SYS_prlimit64, 0, resource, wanted, present);
}

Napi::Value getResourceLimit(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "getResourceLimit");
  const auto resource = static_cast<int>(check.integer(info[0], "resource", 0, INT32_MAX));
  if (check.failed()) return {};
  rlimit limit = {};
  if (resourceLimit(resource, nullptr, &limit) != 0) return systemCallResult(info.Env(), -1);
  const auto pair = Napi::Array::New(info.Env(), 2);
  pair.Set(0u, Napi::Number::New(info.Env(), limitToNumber(limit.rlim_cur)));
  pair.Set(1u, Napi::Number::New(info.Env(), limitToNumber(limit.rlim_max)));
  return pair;
}

Napi::Value setResourceLimit(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "setResourceLimit");
  const auto resource = static_cast<int>(check.integer(info[0], "resource", 0, INT32_MAX));
  const rlimit limit = {limitFromNumber(check, info[1], "soft"), limitFromNumber(check, info[2], "hard")};
  if (check.failed()) return {};
  return systemCallResult(info.Env(), resourceLimit(resource, &limit, nullptr));
}

}  // namespace

void addThreads(Napi::Env env, Napi::Object exports) {
  addFunction<gettid>(env, exports, "gettid");
  addFunction<getAffinity>(env, exports, "getAffinity");
  addFunction<setAffinity>(env, exports, "setAffinity");
  addFunction<interruptThread>(env, exports, "interruptThread");
  addFunction<getResourceLimit>(env, exports, "getResourceLimit");
  addFunction<setResourceLimit>(env, exports, "setResourceLimit");
}

}  // namespace vfio_native
