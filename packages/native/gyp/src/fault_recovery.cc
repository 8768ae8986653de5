#include "fault_recovery.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <mutex>

#include "register_access.h"

namespace vfio_native {
namespace {

struct sigaction previousAction;

auto& programCounter(void* context) {
  auto& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return machine.gregs[REG_RIP];
#else
  return machine.pc;
#endif
}

uintptr_t addressOf(const char* label) {
  return reinterpret_cast<uintptr_t>(label);
}

void passOn(int signal, siginfo_t* info, void* context) {
  const bool raisedByInstruction = info->si_code > 0;
  if ((previousAction.sa_flags & SA_SIGINFO) != 0) {
    previousAction.sa_sigaction(signal, info, context);
  } else if (previousAction.sa_handler == SIG_IGN && !raisedByInstruction) {
    return;
  } else if (previousAction.sa_handler == SIG_DFL || previousAction.sa_handler == SIG_IGN) {
    // The instruction runs again after this return, faults again, and the process dies with a true core dump.
    struct sigaction byDefault = {};
    byDefault.sa_handler = SIG_DFL;
    sigaction(signal, &byDefault, nullptr);
    if (!raisedByInstruction) syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
  } else {
    previousAction.sa_handler(signal);
  }
}

void onBusError(int signal, siginfo_t* info, void* context) {
  const auto counter = static_cast<uintptr_t>(programCounter(context));
  const bool ours = info->si_code > 0 && counter >= addressOf(vfio_native_access_begin) &&
                    counter < addressOf(vfio_native_access_end);
  if (!ours) return passOn(signal, info, context);
  programCounter(context) = addressOf(vfio_native_access_faulted);
}

}  // namespace

int installFaultRecovery() {
  static std::once_flag once;
  static int result = 0;
  std::call_once(once, [] {
    struct sigaction action = {};
    action.sa_sigaction = onBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &previousAction) != 0) result = -errno;
  });
  return result;
}

}  // namespace vfio_native
