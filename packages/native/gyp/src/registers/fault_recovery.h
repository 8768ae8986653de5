// Turns a bus error into -EFAULT for our register accesses, and into a page of zeros for the memory of a file that
// shrank.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vfio_native {

// Installs the SIGBUS handler, once per process. 0 or -errno.
int installFaultRecovery();

struct RangeEntry;

// Memory of a file that any code may reach, such as optimised JavaScript and zlib. Where its file has no page any more
// (the file shrank, or a hole was punched and the huge pages are used up), an access gets private zeroed memory: one
// page of the mapping, which stays.
class RecoveredRange {
 public:
  RecoveredRange() = default;
  RecoveredRange(const RecoveredRange&) = delete;
  ~RecoveredRange() { end(); }

  // 0 or -errno.
  int begin(const uint8_t* base, size_t length, size_t pageSize);
  void end();
  // Leaves the range as it is until the process ends.
  void abandon() { entry_ = nullptr; }

 private:
  RangeEntry* entry_ = nullptr;
};

}  // namespace vfio_native
