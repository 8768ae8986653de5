#include "memory/external_memory.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>

namespace vfio_native {
namespace {

// What this thread's environment has retired and not freed. The kernel allows a process some 65,000 mappings and 2^47
// bytes of addresses.
struct Quarantine {
  size_t ranges = 0;
  size_t bytes = 0;

  bool isFull() const { return ranges > 1024 || bytes > size_t{1} << 40; }
};

thread_local Quarantine quarantine;

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

ExternalMemory::~ExternalMemory() {
  if (buffer_ != nullptr) napi_delete_reference(env_, buffer_);
}

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
  shownLength_ = length;
  napi_create_reference(env_, *buffer, 0, &buffer_);
  return 0;
}

int ExternalMemory::retire() {
  if (retired_) return -EBADF;
  const int result = mapping_.replacePages();
  if (result != 0) return result;
  retired_ = true;
  recovered_.end();
  quarantine.ranges++;
  quarantine.bytes += mapping_.length();
  if (quarantine.isFull() && !requestUnderWay() && detach()) release();
  return 0;
}

void ExternalMemory::release() {
  if (mapping_.base() == nullptr) return;
  if (retired_) {
    quarantine.ranges--;
    quarantine.bytes -= mapping_.length();
  }
  retired_ = true;
  recovered_.end();
  mapping_.unmap();
}

bool ExternalMemory::detach() {
  napi_value buffer = nullptr;
  void* data = nullptr;
  size_t length = 0;
  napi_get_reference_value(env_, buffer_, &buffer);
  if (buffer != nullptr) napi_get_arraybuffer_info(env_, buffer, &data, &length);
  return length == shownLength_ && napi_detach_arraybuffer(env_, buffer) == napi_ok;
}

// Whether Node has a request under way in this environment's thread pool: crypto, zlib, fs.
bool ExternalMemory::requestUnderWay() const {
  uv_loop_t* loop = nullptr;
  return napi_get_uv_event_loop(env_, &loop) != napi_ok || loop->active_reqs.count > 0;
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
