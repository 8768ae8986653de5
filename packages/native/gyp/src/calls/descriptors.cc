// File descriptors: open, read, write and their kin. Each function is one system call.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "addon.h"
#include "arguments/argument_check.h"

namespace vfio_native {
namespace {

Napi::Value open(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "open");
  const std::string path = check.text(info[0], "path");
  const uint32_t flags = check.bits32(info[1], "flags");
  const auto mode = static_cast<mode_t>(check.integerOr(info[2], "mode", 0666, 0, 07777));
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::open(path.c_str(), static_cast<int>(flags) | O_CLOEXEC, mode));
}

Napi::Value close(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "close");
  const int fd = check.descriptor(info[0]);
  if (check.failed()) return {};
  const int result = ::close(fd);
  // Linux closes the descriptor even then (close(2)).
  return systemCallResult(info.Env(), result < 0 && errno == EINTR ? 0 : result);
}

Napi::Value dup(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "dup");
  const int fd = check.descriptor(info[0]);
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

Napi::Value pread(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "pread");
  const int fd = check.descriptor(info[0]);
  const Bytes into = check.bytes(info[1], "into");
  const off_t offset = check.fileOffset(info[2], "offset");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::pread(fd, into.data, into.length, offset));
}

Napi::Value pwrite(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "pwrite");
  const int fd = check.descriptor(info[0]);
  const Bytes from = check.bytes(info[1], "from");
  const off_t offset = check.fileOffset(info[2], "offset");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::pwrite(fd, from.data, from.length, offset));
}

Napi::Value read(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "read");
  const int fd = check.descriptor(info[0]);
  const Bytes into = check.bytes(info[1], "into");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::read(fd, into.data, into.length));
}

Napi::Value write(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "write");
  const int fd = check.descriptor(info[0]);
  const Bytes from = check.bytes(info[1], "from");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::write(fd, from.data, from.length));
}

Napi::Value ftruncate(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "ftruncate");
  const int fd = check.descriptor(info[0]);
  const off_t size = check.fileOffset(info[1], "size");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::ftruncate(fd, size));
}

// Commands that take a number or nothing (fcntl.h, linux/fcntl.h). The others, and perhaps those of later kernels, take
// an address: they would write to whatever memory the number happens to name.
constexpr std::array integerCommands = {
    0,    1,    2,    3,    4,     // F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL
    8,    9,    10,   11,          // F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG
    1024, 1025, 1026, 1027, 1028,  // F_SETLEASE, F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY, F_CREATED_QUERY
    1030, 1031, 1032, 1033, 1034,  // F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS
};

Napi::Value fcntl(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "fcntl");
  const int fd = check.descriptor(info[0]);
  const int command = static_cast<int>(check.integer(info[1], "command", 0, INT32_MAX));
  const auto argument = static_cast<long>(check.integerOr(info[2], "argument", 0, INT32_MIN, UINT32_MAX));
  if (std::find(integerCommands.begin(), integerCommands.end(), command) == integerCommands.end()) {
    check.outOfRange(info[1], "command", "a command with an integer argument");
  }
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::fcntl(fd, command, argument));
}

Napi::Value memfdCreate(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "memfdCreate");
  const std::string name = check.text(info[0], "name");
  const uint32_t flags = check.bits32(info[1], "flags");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::memfd_create(name.c_str(), flags | MFD_CLOEXEC));
}

Napi::Value eventfd(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "eventfd");
  const auto initialValue = static_cast<unsigned>(check.integer(info[0], "initialValue", 0, UINT32_MAX));
  const uint32_t flags = check.bits32(info[1], "flags");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::eventfd(initialValue, static_cast<int>(flags) | EFD_CLOEXEC));
}

}  // namespace

void addDescriptors(Napi::Env env, Napi::Object exports) {
  addFunction<open>(env, exports, "open");
  addFunction<close>(env, exports, "close");
  addFunction<dup>(env, exports, "dup");
  addFunction<pread>(env, exports, "pread");
  addFunction<pwrite>(env, exports, "pwrite");
  addFunction<read>(env, exports, "read");
  addFunction<write>(env, exports, "write");
  addFunction<ftruncate>(env, exports, "ftruncate");
  addFunction<fcntl>(env, exports, "fcntl");
  addFunction<memfdCreate>(env, exports, "memfdCreate");
  addFunction<eventfd>(env, exports, "eventfd");
}

}  // namespace vfio_native
