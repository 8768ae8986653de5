/** Numbers of the x86-64 and arm64 Linux ABI that the tests pass to the addon. */
export const MAP_SHARED = 0x1;
export const MAP_PRIVATE = 0x2;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_NORESERVE = 0x4000;
export const MAP_HUGETLB = 0x40000;
export const MAP_HUGE_2MB = 21 << 26;
export const PROT_NONE = 0;
export const PROT_READ = 1;

export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLHUP = 0x10;

export const F_GETFD = 1;
export const F_GETFL = 3;
export const F_GETLK = 5;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const FD_CLOEXEC = 1;
export const O_NONBLOCK = 0x800;

export const MFD_ALLOW_SEALING = 2;
export const F_SEAL_SHRINK = 2;

/** Bytes that wait in a socket or pipe, as a 32-bit number. */
export const FIONREAD = 0x541b;
/** `struct ifconf`: int length at 0, pointer to `struct ifreq[]` (40 bytes each) at 8. */
export const SIOCGIFCONF = 0x8912;

export const RLIMIT_NOFILE = 7;

export const EINTR = 4;
export const ENOENT = 2;
export const EBADF = 9;
export const EAGAIN = 11;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EINVAL = 22;
export const ENOSYS = 38;
export const EPERM = 1;
export const ENOTTY = 25;
export const EFBIG = 27;
export const EPIPE = 32;
export const ENAMETOOLONG = 36;
export const ESRCH = 3;
export const EADDRINUSE = 98;
export const ECONNREFUSED = 111;
export const ETIMEDOUT = 110;
export const ECANCELED = 125;
