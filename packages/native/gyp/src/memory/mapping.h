// Owner of one range of mapped memory.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace vfio_native {

struct MapRequest {
  int fd = -1;
  size_t length = 0;
  int prot = 0;
  int flags = 0;
  off_t offset = 0;
  // The address satisfies address % alignment == alignmentOffset; 0 for any.
  size_t alignment = 0;
  size_t alignmentOffset = 0;
  // madvise(2), or -1 for none.
  int advice = -1;
  // Bytes of the mapping's page, which for hugetlb is not the system's.
  size_t pageSize = 0;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { unmap(); }

  // 0 or -errno. The mapping must be empty before.
  int map(const MapRequest& request);
  // 0, or -EBADF when nothing is mapped.
  int unmap();
  // Gives the pages back and keeps the addresses, which then hold private zeroed memory. 0; -errno when nothing
  // changed.
  int replacePages();
  // Leaves the memory mapped until the process ends.
  void abandon();

  uint8_t* base() const { return base_; }
  size_t length() const { return length_; }

 private:
  uint8_t* base_ = nullptr;
  size_t length_ = 0;
};

size_t systemPageSize();

}  // namespace vfio_native
