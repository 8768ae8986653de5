#include "memory/external_memory.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace vfio_native {
namespace {

// Whether the file now has a page for each address of the range. A file without a size, such as a device, passes.
bool coversRange(const MapRequest& request) {
  struct stat file = {};
  // By number, because fstat(3) needs glibc 2.33. On 64-bit machines the structure is the kernel's.
  if (syscall(SYS_fstat, request.fd, &file) != 0) return true;  // for mmap(2) to refuse
  auto size = static_cast<uint64_t>(file.st_size);
  if (S_ISBLK(file.st_mode)) {
    if (ioctl(request.fd, BLKGETSIZE64, &size) != 0) return true;
  } else if (!S_ISREG(file.st_mode)) {
    return true;
  }
  const uint64_t end = (size + request.pageSize - 1) / request.pageSize * request.pageSize;
  return static_cast<uint64_t>(request.offset) + request.length <= end;
}

}  // namespace

int ExternalMemory::map(const MapRequest& request) {
  const bool ofFile = (request.flags & MAP_ANONYMOUS) == 0;
  if (ofFile && !coversRange(request)) return -ENXIO;
  const int result = mapping_.map(request);
  // To the kernel, anonymous huge pages are a file. Without a reservation (MAP_NORESERVE) the pool may be empty.
  const bool mayLackPages = ofFile || (request.flags & MAP_HUGETLB) != 0;
  if (result != 0 || !mayLackPages) return result;
  const int recovery = recovered_.begin(mapping_.base(), mapping_.length(), request.pageSize);
  if (recovery != 0) mapping_.unmap();
  return recovery;
}

int ExternalMemory::show(uint8_t* begin, size_t length, napi_value* buffer) {
  // Given away on failure, too: Node calls the finalizer in some of these cases and not in others.
  auto* holder = new std::shared_ptr<ExternalMemory>(shared_from_this());
  const auto finalize = [](napi_env, void*, void* hint) {
    const std::unique_ptr<std::shared_ptr<ExternalMemory>> held(static_cast<std::shared_ptr<ExternalMemory>*>(hint));
    (*held)->onBufferGone();
  };
  const napi_status status = napi_create_external_arraybuffer(env_, begin, length, finalize, holder, buffer);
  if (status != napi_ok) {
    napi_value ignored = nullptr;
    napi_get_and_clear_last_exception(env_, &ignored);
    release();
    return status == napi_no_external_buffers_allowed ? -EOPNOTSUPP : -EFBIG;
  }
  return 0;
}

int ExternalMemory::retire() {
  if (retired_) return -EBADF;
  const int result = mapping_.replacePages();
  if (result != 0) return result;
  retired_ = true;
  recovered_.end();
  return 0;
}

void ExternalMemory::release() {
  if (mapping_.base() == nullptr) return;
  retired_ = true;
  recovered_.end();
  mapping_.unmap();
}

// Node calls this when nothing holds the memory any more, or when the environment ends.
void ExternalMemory::onBufferGone() {
  if (!environmentEnds()) return release();
  // This includes retired memory, which a late writer may have filled.
  if (mapping_.base() == nullptr || mapping_.replacePages() == 0) recovered_.end();
  retired_ = true;
  recovered_.abandon();
  mapping_.abandon();
}

// Whether the environment ends. Node-API then refuses what could run JavaScript, and says so before it does anything.
bool ExternalMemory::environmentEnds() const {
  napi_value global = nullptr;
  bool has = false;
  return napi_get_global(env_, &global) != napi_ok || napi_has_named_property(env_, global, "Object", &has) != napi_ok;
}

}  // namespace vfio_native
