// ioctl(2) with its argument in a staging area before an inaccessible page.
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "addon.h"
#include "arguments/argument_check.h"
#include "memory/mapping.h"

namespace vfio_native {
namespace {

constexpr size_t maximumLinks = 4;
constexpr size_t slotCount = 1 + maximumLinks;
constexpr size_t slotSize = size_t{1} << 20;

// One slot for the argument and one for each link, each followed by an inaccessible page. Each thread makes one area at
// its first ioctl with bytes, and unmaps it when it ends.
class Staging {
 public:
  // 0 or -errno.
  int prepare() {
    if (area_.base() != nullptr) return 0;
    const size_t stride = slotSize + systemPageSize();
    MapRequest request;
    request.length = slotCount * stride;
    request.prot = PROT_NONE;
    request.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    const int result = area_.map(request);
    if (result != 0) return result;
    for (size_t slot = 0; slot < slotCount; slot++) {
      if (mprotect(area_.base() + slot * stride, slotSize, PROT_READ | PROT_WRITE) != 0) {
        const int error = errno;
        area_.unmap();
        return -error;
      }
    }
    return 0;
  }

  // A copy of `bytes` that ends where the inaccessible page begins.
  uint8_t* stage(size_t slot, const Bytes& bytes) {
    uint8_t* end = area_.base() + slot * (slotSize + systemPageSize()) + slotSize;
    if (bytes.length > 0) memcpy(end - bytes.length, bytes.data, bytes.length);
    return end - bytes.length;
  }

 private:
  Mapping area_;
};

thread_local Staging staging;

struct Link {
  size_t offset = 0;
  Bytes bytes;
  uint8_t* staged = nullptr;
};

int ioctlWithBytes(int fd, unsigned long request, const Bytes& argument, Link* links, size_t linkCount) {
  const int prepared = staging.prepare();
  if (prepared != 0) return prepared;
  uint8_t* staged = staging.stage(0, argument);
  for (size_t index = 0; index < linkCount; index++) {
    Link& link = links[index];
    link.staged = staging.stage(1 + index, link.bytes);
    const auto address = reinterpret_cast<uint64_t>(link.staged);
    memcpy(staged + link.offset, &address, sizeof address);
  }
  const int result = ::ioctl(fd, request, staged);
  // A failed call answers too: with ENOSPC, VFIO writes the room that it needs.
  const int error = errno;
  for (size_t index = 0; index < linkCount; index++) {
    const Link& link = links[index];
    memcpy(staged + link.offset, argument.data + link.offset, sizeof(uint64_t));
    if (link.bytes.length > 0) memcpy(link.bytes.data, link.staged, link.bytes.length);
  }
  if (argument.length > 0) memcpy(argument.data, staged, argument.length);
  return result < 0 ? -error : result;
}

Napi::Value ioctlByValue(const Napi::CallbackInfo& info, ArgumentCheck& check, int fd, unsigned long request) {
  const Napi::Value argument = info[2];
  if (!argument.IsUndefined() && !argument.IsNumber() && !argument.IsBigInt()) {
    check.wrongType(argument, "argument", "undefined, a number, a bigint or a Uint8Array");
  }
  if (info.Length() > 3) check.wrongType(argument, "argument", "bytes where there are links");
  const uint64_t number = argument.IsUndefined() ? 0 : check.bits64(argument, "argument");
  if (check.failed()) return {};
  return systemCallResult(info.Env(), ::ioctl(fd, request, number));
}

void checkSize(Napi::Env env, ArgumentCheck& check, const Bytes& bytes, const char* name) {
  if (bytes.length <= slotSize) return;
  check.outOfRange(Napi::Number::New(env, static_cast<double>(bytes.length)), name, "at most 1048576 bytes");
}

Napi::Value ioctl(const Napi::CallbackInfo& info) {
  ArgumentCheck check(info.Env(), "ioctl");
  const int fd = check.descriptor(info[0]);
  const unsigned long request = check.bits32(info[1], "request");
  if (info[2].Type() != napi_object) return ioctlByValue(info, check, fd, request);

  const Bytes argument = check.bytes(info[2], "argument");
  checkSize(info.Env(), check, argument, "the length of argument");
  Link links[maximumLinks];
  const size_t linkCount = info.Length() > 3 ? (info.Length() - 3 + 1) / 2 : 0;
  if (linkCount > maximumLinks) {
    check.outOfRange(Napi::Number::New(info.Env(), static_cast<double>(linkCount)), "the number of links", "at most 4");
  }
  for (size_t index = 0; index < linkCount && !check.failed(); index++) {
    const Napi::Value offset = info[3 + 2 * index];
    const auto last = static_cast<int64_t>(argument.length) - static_cast<int64_t>(sizeof(uint64_t));
    if (last < 0) check.outOfRange(offset, "a link's offset", "none, as argument has less than 8 bytes");
    links[index].offset = static_cast<size_t>(check.integer(offset, "a link's offset", 0, last));
    links[index].bytes = check.bytes(info[3 + 2 * index + 1], "a link");
    checkSize(info.Env(), check, links[index].bytes, "the length of a link");
  }
  if (check.failed()) return {};
  return Napi::Number::New(info.Env(), ioctlWithBytes(fd, request, argument, links, linkCount));
}

}  // namespace

void addIoctl(Napi::Env env, Napi::Object exports) {
  addFunction<ioctl>(env, exports, "ioctl");
}

}  // namespace vfio_native
