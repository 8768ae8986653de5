// Width-exact accesses to device memory that survive a bus error.
//
// Each function is one load or store instruction of exactly the named width (register_access.S). When that instruction
// raises SIGBUS, the handler of fault_recovery.cc makes the function return -EFAULT instead.
#pragma once

#include <cstdint>

namespace vfio_native {

struct Loaded {
  uint64_t value;
  // 0 or -EFAULT.
  int64_t error;
};

extern "C" {
// A load is complete before any later access to memory.
Loaded vfio_native_load8(const void* address);
Loaded vfio_native_load16(const void* address);
Loaded vfio_native_load32(const void* address);
Loaded vfio_native_load64(const void* address);

// A store comes after every earlier store to memory. Each returns 0 or -EFAULT.
int64_t vfio_native_store8(void* address, uint64_t value);
int64_t vfio_native_store16(void* address, uint64_t value);
int64_t vfio_native_store32(void* address, uint64_t value);
int64_t vfio_native_store64(void* address, uint64_t value);

// 64 bytes as eight 8-byte stores in ascending order.
int64_t vfio_native_store64bytes(void* address, const void* source);
#if defined(__x86_64__)
// 64 bytes as one MOVDIR64B. `address` must be a multiple of 64, and the CPU must have the instruction.
int64_t vfio_native_movdir64b(void* address, const void* source);
#endif

// The first byte of the code above, the first byte after it, and the place where a faulting access continues.
extern const char vfio_native_access_begin[];
extern const char vfio_native_access_end[];
extern const char vfio_native_access_faulted[];
}

}  // namespace vfio_native
