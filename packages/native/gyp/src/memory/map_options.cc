#include "memory/map_options.h"

#include <sys/mman.h>
#include <sys/vfs.h>

#include <cstdio>
#include <string>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#define MAP_HUGE_MASK 0x3f
#endif

namespace vfio_native {
namespace {

constexpr int64_t longest = int64_t{1} << 46;
constexpr auto hugetlbfsMagic = 0x958458f6;
// From 100 on, madvise(2) poisons pages of the machine, and installs guards at which an access is a segmentation fault.
constexpr int64_t lastAdvice = 99;

size_t defaultHugePageSize() {
  static const size_t size = [] {
    size_t kibibytes = 2048;
    FILE* meminfo = fopen("/proc/meminfo", "re");
    if (meminfo == nullptr) return kibibytes * 1024;
    char line[128];
    while (fgets(line, sizeof line, meminfo) != nullptr && sscanf(line, "Hugepagesize: %zu kB", &kibibytes) != 1) {
    }
    fclose(meminfo);
    return kibibytes * 1024;
  }();
  return size;
}

// munmap(2) and the alignment rules count in pages of the mapping. For hugetlb these are not the system's pages.
size_t pageSizeOf(int fd, int flags) {
  if ((flags & MAP_ANONYMOUS) != 0) {
    if ((flags & MAP_HUGETLB) == 0) return systemPageSize();
    const int exponent = (static_cast<unsigned>(flags) >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
    return exponent == 0 ? defaultHugePageSize() : size_t{1} << exponent;
  }
  struct statfs filesystem = {};
  if (fstatfs(fd, &filesystem) != 0 || filesystem.f_type != hugetlbfsMagic) return systemPageSize();
  return static_cast<size_t>(filesystem.f_bsize);
}

bool isPowerOfTwo(size_t value) {
  return (value & (value - 1)) == 0;
}

}  // namespace

MapRequest readMapOptions(ArgumentCheck& check, Napi::Value value) {
  MapRequest request;
  if (!value.IsObject()) {
    check.wrongType(value, "options", "an object");
    return request;
  }
  const auto options = value.As<Napi::Object>();
  const auto option = [&](const char* name) { return check.property(options, name); };
  const auto length = option("length");
  const auto flags = option("flags");
  const auto alignment = option("alignment");
  const auto alignmentOffset = option("alignmentOffset");
  const auto offset = option("offset");

  request.fd = check.descriptor(option("fd"), "options.fd");
  request.length = static_cast<size_t>(check.integer(length, "options.length", 1, longest));
  request.prot = static_cast<int>(
      check.integerOr(option("prot"), "options.prot", PROT_READ | PROT_WRITE, 0, PROT_READ | PROT_WRITE));
  request.flags = static_cast<int>(check.bits32(flags, "options.flags"));
  request.offset = offset.IsUndefined() ? 0 : check.fileOffset(offset, "options.offset");
  request.alignment = static_cast<size_t>(check.integerOr(alignment, "options.alignment", 0, 0, longest));
  request.alignmentOffset =
      static_cast<size_t>(check.integerOr(alignmentOffset, "options.alignmentOffset", 0, 0, longest));
  request.advice = static_cast<int>(check.integerOr(option("advice"), "options.advice", -1, 0, lastAdvice));
  if (check.failed()) return request;

  if ((request.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0) {
    check.outOfRange(flags, "options.flags", "any without MAP_FIXED and MAP_FIXED_NOREPLACE");
  }
  const size_t page = pageSizeOf(request.fd, request.flags);
  request.pageSize = page;
  const std::string multiple = "a multiple of the mapping's page size, " + std::to_string(page);
  if (request.length % page != 0) check.outOfRange(length, "options.length", multiple);
  if (!isPowerOfTwo(request.alignment) || (request.alignment != 0 && request.alignment < systemPageSize())) {
    check.outOfRange(alignment, "options.alignment",
                     "0 or a power of two of at least " + std::to_string(systemPageSize()));
  }
  if (request.alignmentOffset % page != 0) check.outOfRange(alignmentOffset, "options.alignmentOffset", multiple);
  if (request.alignmentOffset != 0 && request.alignmentOffset >= request.alignment) {
    check.outOfRange(alignmentOffset, "options.alignmentOffset", "less than options.alignment");
  }
  // The kernel always aligns to the page size of the mapping, and refuses less.
  if (request.alignment != 0 && request.alignment < page) request.alignment = page;
  return request;
}

}  // namespace vfio_native
