/** Numbers of sys/mman.h, fcntl.h and linux/memfd.h, the same on every architecture that VFIO serves. */

export const O_RDONLY = 0;
export const O_RDWR = 2;

export const PROT_READ = 1;
export const PROT_WRITE = 2;

export const MAP_SHARED = 0x01;
export const MAP_PRIVATE = 0x02;
export const MAP_ANONYMOUS = 0x20;
/** The pages stay in memory, and count as mlock's do (asm-generic/mman.h). */
export const MAP_LOCKED = 0x2000;
export const MAP_POPULATE = 0x8000;
export const MAP_HUGETLB = 0x4_0000;
/** Logarithm of the huge page's size in bits 26 to 31; MFD_HUGE_… are the same. */
export const MAP_HUGE_2MB = 21 << 26;
export const MAP_HUGE_1GB = 30 << 26;

export const MADV_HUGEPAGE = 14;

export const MFD_ALLOW_SEALING = 2;
export const MFD_HUGETLB = 4;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SHRINK = 2;
export const F_SEAL_GROW = 4;
