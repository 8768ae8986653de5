// The jump into another kernel (kexec_file_load(2), reboot(2)). Each function is one system call.
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addon.h"
#include "arguments/argument_check.h"

namespace vfio_native {
namespace {

Napi::Value kexecFileLoad(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "kexecFileLoad");
  const int kernel = check.descriptor(info[0]);
  const std::string commandLine = check.text(info[1], "commandLine");
  if (check.failed()) return {};
  const int noInitramfs = -1;
  // The length counts the NUL at the end.
  return systemCallResult(info.Env(), ::syscall(SYS_kexec_file_load, kernel, noInitramfs, commandLine.size() + 1,
                                                commandLine.c_str(), KEXEC_FILE_NO_INITRAMFS));
}

Napi::Value kexec(const Napi::CallbackInfo& info) {
  // glibc's reboot() takes the command alone.
  return systemCallResult(info.Env(), ::syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
                                                LINUX_REBOOT_CMD_KEXEC, nullptr));
}

}  // namespace

void addKexec(Napi::Env env, Napi::Object exports) {
  addFunction<kexecFileLoad>(env, exports, "kexecFileLoad");
  addFunction<kexec>(env, exports, "kexec");
}

}  // namespace vfio_native
