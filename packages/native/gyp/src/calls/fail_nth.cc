// Makes the kernel fail one allocation or copy of a system call (Documentation/fault-injection/fault-injection.rst,
// "Systematic faults"): the n-th place that can fail, counted from the write to /proc/thread-self/fail-nth on.
//
// The count runs for every system call of the thread, so the write and the call must follow each other without any of
// the engine's own between them.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "addon.h"
#include "arguments/argument_check.h"
#include "arguments/unique_descriptor.h"

namespace vfio_native {
namespace {

constexpr const char* failNthPath = "/proc/thread-self/fail-nth";
constexpr int64_t mostPlaces = 1 << 20;
constexpr size_t mostArguments = 16;

int writeCount(int fd, long count) {
  char text[24];
  const int length = snprintf(text, sizeof(text), "%ld", count);
  return ::pwrite(fd, text, static_cast<size_t>(length), 0) == length ? 0 : -errno;
}

// Places that were left when the call ended: 0 when it met the one to fail.
long placesLeft(int fd) {
  char text[24] = {};
  // The kernel copies its answer out, which is a place, too: EFAULT says that it was the last one left.
  if (::pread(fd, text, sizeof(text) - 1, 0) < 0) return errno == EFAULT ? 1 : -errno;
  return strtol(text, nullptr, 10);
}

// failNth(n, function, ...arguments): [result, left]; -errno when the kernel has no such file.
Napi::Value failNth(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  ArgumentCheck check(env, "failNth");
  const auto nth = static_cast<long>(check.integer(info[0], "n", 1, mostPlaces));
  napi_value function = check.function(info[1], "function");
  if (info.Length() > 2 + mostArguments) check.outOfRange(info[2], "arguments", "at most 16 arguments");
  if (check.failed()) return {};
  std::vector<napi_value> arguments;
  for (size_t index = 2; index < info.Length(); index++) arguments.push_back(info[index]);

  const auto pair = Napi::Array::New(env, 2);
  const UniqueDescriptor file(::open(failNthPath, O_RDWR | O_CLOEXEC));
  if (file.get() < 0) return systemCallResult(env, -1);
  const int armed = writeCount(file.get(), nth);
  if (armed != 0) return Napi::Number::New(env, armed);
  napi_value result = nullptr;
  const napi_status status =
      napi_call_function(env, env.Undefined(), function, arguments.size(), arguments.data(), &result);
  const long left = placesLeft(file.get());
  // Twice when the write itself is the place to fail: the failed one uses the count up.
  if (writeCount(file.get(), 0) != 0) writeCount(file.get(), 0);
  if (status != napi_ok) return {};  // the function threw
  if (left < 0) return Napi::Number::New(env, static_cast<double>(left));
  pair.Set(0u, Napi::Value(env, result));
  pair.Set(1u, Napi::Number::New(env, static_cast<double>(left)));
  return pair;
}

}  // namespace

void addFailNth(Napi::Env env, Napi::Object exports) {
  addFunction<failNth>(env, exports, "failNth");
}

}  // namespace vfio_native
