#include "memory/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace vfio_native {
namespace {

// 0 or -errno.
int mapAt(void* address, const MapRequest& request, int extraFlags, uint8_t** base) {
  void* mapped = mmap(address, request.length, request.prot, request.flags | extraFlags, request.fd, request.offset);
  if (mapped == MAP_FAILED) return -errno;
  *base = static_cast<uint8_t*>(mapped);
  return 0;
}

// Finds an address that satisfies the alignment and was free a moment ago: the last one, because the kernel gives
// addresses from the top down, and neighbours without a gap become one mapping when they are retired. 0 or -errno.
int findAlignedAddress(const MapRequest& request, uint8_t** address) {
  size_t reserved = 0;
  if (__builtin_add_overflow(request.length, request.alignment, &reserved)) return -ENOMEM;
  void* reservation = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reservation == MAP_FAILED) return -errno;
  const uintptr_t last = reinterpret_cast<uintptr_t>(reservation) + request.alignment;
  const uintptr_t mask = request.alignment - 1;
  *address = static_cast<uint8_t*>(reservation) + request.alignment - ((last - request.alignmentOffset) & mask);
  munmap(reservation, reserved);
  return 0;
}

// Reserves, frees and maps without replacement, instead of MAP_FIXED over the reservation. When such a mapping fails
// halfway, the kernel may leave a hole. Another thread may map something there, and nobody could clean up safely.
int mapAligned(const MapRequest& request, uint8_t** base) {
  constexpr int attempts = 64;
  int result = -EAGAIN;
  for (int attempt = 0; attempt < attempts; attempt++) {
    uint8_t* wanted = nullptr;
    result = findAlignedAddress(request, &wanted);
    if (result != 0) return result;
    result = mapAt(wanted, request, MAP_FIXED_NOREPLACE, base);
    if (result == -EEXIST) continue;  // another thread was faster
    if (result != 0 || *base == wanted) return result;
    munmap(*base, request.length);  // a kernel before 4.17 takes the address as a hint
    result = -EAGAIN;
  }
  return result;
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), length_(std::exchange(other.length_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(length_, other.length_);
  return *this;
}

int Mapping::map(const MapRequest& request) {
  uint8_t* base = nullptr;
  const int result = request.alignment == 0 ? mapAt(nullptr, request, 0, &base) : mapAligned(request, &base);
  if (result != 0) return result;
  base_ = base;
  length_ = request.length;
  if (request.advice >= 0) madvise(base_, length_, request.advice);
  return 0;
}

int Mapping::unmap() {
  if (base_ == nullptr) return -EBADF;
  const int result = munmap(base_, length_) == 0 ? 0 : -errno;
  abandon();
  return result;
}

// Moves a new mapping over the old one. mmap(2) with MAP_FIXED may fail after it unmapped, and another thread could
// then get the addresses.
int Mapping::replacePages() {
  if (base_ == nullptr) return -EBADF;
  void* empty = mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (empty == MAP_FAILED) return -errno;
  if (mremap(empty, length_, length_, MREMAP_MAYMOVE | MREMAP_FIXED, base_) != MAP_FAILED) return 0;
  const int error = errno;
  munmap(empty, length_);
  return -error;
}

void Mapping::abandon() {
  base_ = nullptr;
  length_ = 0;
}

size_t systemPageSize() {
  static const auto size = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

}  // namespace vfio_native
