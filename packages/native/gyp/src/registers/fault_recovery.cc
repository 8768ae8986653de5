#include "registers/fault_recovery.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "registers/register_access.h"

namespace vfio_native {

// A signal handler may take no lock, so entries are never freed, only used again. In an unused entry `end` is 0.
struct RangeEntry {
  std::atomic<uintptr_t> begin = 0;
  std::atomic<uintptr_t> end = 0;
  std::atomic<size_t> pageSize = 0;
  RangeEntry* next = nullptr;
};

namespace {

struct sigaction previousAction;

std::atomic<RangeEntry*> ranges = nullptr;

struct UnusedEntries {
  std::mutex lock;
  std::vector<RangeEntry*> entries;
};

// Never destroyed, because threads that still run at exit use it.
UnusedEntries& unused() {
  static auto& entries = *new UnusedEntries();
  return entries;
}

RangeEntry* takeEntry() {
  const std::lock_guard guard(unused().lock);
  if (!unused().entries.empty()) {
    RangeEntry* entry = unused().entries.back();
    unused().entries.pop_back();
    return entry;
  }
  auto* entry = new RangeEntry();
  entry->next = ranges.load();
  ranges.store(entry);
  return entry;
}

// Puts zeroed memory at an address that has none, if the address lies in a range to recover.
bool recoverPage(uintptr_t address) {
  for (const RangeEntry* entry = ranges.load(); entry != nullptr; entry = entry->next) {
    const uintptr_t end = entry->end.load();
    const uintptr_t begin = entry->begin.load();
    const size_t pageSize = entry->pageSize.load();
    // Read again, because another range may have taken the entry meanwhile.
    if (address < begin || address >= end || entry->end.load() != end) continue;
    void* page = reinterpret_cast<void*>(address & ~(pageSize - 1));
    constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    return mmap(page, pageSize, PROT_READ | PROT_WRITE, flags, -1, 0) != MAP_FAILED;
  }
  return false;
}

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
    // After this return the instruction runs again and faults again, and the process dies with a true core dump.
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
  if (ours) {
    programCounter(context) = addressOf(vfio_native_access_faulted);
    return;
  }
  const int interruptedErrno = errno;
  // Not for BUS_MCEERR_AR: broken memory must not become zeros.
  if (info->si_code == BUS_ADRERR && recoverPage(reinterpret_cast<uintptr_t>(info->si_addr))) {
    errno = interruptedErrno;
    return;
  }
  passOn(signal, info, context);
}

}  // namespace

int installFaultRecovery() {
  static const int result = [] {
    struct sigaction action = {};
    action.sa_sigaction = onBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &previousAction) == 0 ? 0 : -errno;
  }();
  return result;
}

int RecoveredRange::begin(const uint8_t* base, size_t length, size_t pageSize) {
  const int installed = installFaultRecovery();
  if (installed != 0) return installed;
  entry_ = takeEntry();
  entry_->begin = reinterpret_cast<uintptr_t>(base);
  entry_->pageSize = pageSize;
  entry_->end = reinterpret_cast<uintptr_t>(base) + length;
  return 0;
}

void RecoveredRange::end() {
  if (entry_ == nullptr) return;
  entry_->end = 0;
  const std::lock_guard guard(unused().lock);
  unused().entries.push_back(std::exchange(entry_, nullptr));
}

}  // namespace vfio_native
