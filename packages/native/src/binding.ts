/**
 * The C++ addon's interface: mechanism, no policy, no knowledge of VFIO.
 *
 * Conventions
 * - A file descriptor is a `number`. Results are numbers; a failed system call gives `-errno`.
 * - Invalid arguments (wrong type, offset outside the buffer) throw a `TypeError` or `RangeError`. Nothing else does.
 * - 64-bit values that may pass 2^53 are `bigint`: addresses and 64-bit registers. Sizes and offsets are `number`.
 * - `Bytes` may be any view of an ArrayBuffer. The addon touches only the viewed range.
 */

/** A view of memory that JavaScript owns (or that a {@link NativeMemory} exposes). */
export type Bytes = Uint8Array;

/**
 * Registers of a device (or any memory) that only width-exact, volatile accesses in native code reach.
 *
 * Every accessor checks its offset: it must be a multiple of the width and lie within the mapping. Reads give the
 * value, or `-errno`: `-EBADF` after `unmap`, `-EINVAL` for an offset that is out of range, misaligned or no integer,
 * `-EFAULT` when the access raised a bus error (for VFIO: memory space disabled, or device in reset), `-EACCES` when
 * the mapping's protection forbids it. Values are unsigned, so a negative result is always an error. A negative written
 * value stands for its two's complement; a value that does not fit the width throws. A store comes after earlier stores
 * to memory, as with the kernel's `writel`.
 *
 * Call them on the object: they are methods.
 */
export interface NativeIo {
  /** Virtual address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  /** 0 to 0xff, or `-errno`. */
  read8(offset: number): number;
  /** 0 to 0xffff, or `-errno`. */
  read16(offset: number): number;
  /** 0 to 0xffff_ffff, or `-errno`. */
  read32(offset: number): number;
  /** A number only when it is a (negative) errno. */
  read64(offset: number): bigint | number;
  /** 0, or `-errno`. `value` is at most 0xff. */
  write8(offset: number, value: number): number;
  /** 0, or `-errno`. `value` is at most 0xffff. */
  write16(offset: number, value: number): number;
  /** 0, or `-errno`. `value` is at most 0xffff_ffff. */
  write32(offset: number, value: number): number;
  /** 0, or `-errno`. */
  write64(offset: number, value: bigint): number;
  /**
   * Stores 64 bytes of `source` (from `sourceOffset`) at `offset`, which must be a multiple of 64. The store is one
   * MOVDIR64B where the CPU has it, else eight 8-byte stores in ascending order.
   */
  readonly store64Bytes: (offset: number, source: Bytes, sourceOffset?: number) => number;
  /** 0, or `-EBADF` when already unmapped. */
  readonly unmap: () => number;
}

/**
 * Ordinary memory, as an external ArrayBuffer. The addon gives its pages back at `unmap`, when neither the buffer nor
 * `unmap` is reachable any more, and when the worker that mapped it ends. A remaining holder of the memory then sees
 * zeros.
 */
export interface NativeMemory {
  /** Virtual address of the first byte. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: number;
  /** The memory, for typed arrays. */
  readonly buffer: ArrayBuffer;
  /**
   * Gives the pages back: of huge pages, of a file, or pages in memory. The buffer and its views then show private
   * memory of zeros, so work that still goes on in other threads (zlib, crypto, fs) does no harm. The addresses become
   * free with the buffer. 0; `-EBADF` when already unmapped; `-ENOMEM` when the process has no more addresses, and
   * nothing changed.
   */
  readonly unmap: () => number;
}

/** What to map (mmap(2)). */
export interface MapOptions {
  /** -1 for anonymous memory. */
  fd: number;
  /** Bytes: a positive multiple of the page size of the mapping. Any other length is refused. */
  length: number;
  /** PROT_READ | PROT_WRITE, the default. `mapIo` also takes one of them alone, or none (0). */
  prot?: number;
  /** MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | …, but not MAP_FIXED. */
  flags: number;
  /** Offset in the file; a bigint, because VFIO region offsets are 64-bit cookies. Default 0n. */
  offset?: bigint;
  /**
   * A power of two ≥ page size, or 0 for any address. The address satisfies `address % alignment === alignmentOffset`.
   */
  alignment?: number;
  /** Below `alignment`. Default 0. */
  alignmentOffset?: number;
  /** madvise(2) advice after mapping, 0 to 99. Its result is ignored. */
  advice?: number;
}

/**
 * One ioctl request on one file, for hot paths. Its argument stays where the kernel works on it, so a call copies
 * nothing. That is a quarter of the cost of {@link NativeBinding.ioctl}.
 */
export interface NativeIoctl {
  /** The argument, zeroed, directly before an inaccessible page, so a lying length field ends in `-EFAULT`. */
  readonly argument: ArrayBuffer;
  /**
   * The ioctl's result or `-errno`, undefined for 0 (making a number costs a third of the call); `-EBADF` after `close`.
   * May be detached from the object: it is a closure.
   */
  readonly call: () => number | undefined;
  /**
   * Ends the binding and its argument, which then is memory of zeros that no call uses. It does not close the file. 0;
   * `-EBADF` when already closed.
   */
  readonly close: () => number;
}

/** One waiter per file descriptor on the event loop of the calling thread (main or worker). */
export interface NativePoller {
  /**
   * Starts a wait that calls `callback` once, never from within a call. The result is the ready events (> 0), 0 on
   * time-out, or `-errno` (`-ECANCELED` after `stop` or `close`). Events are those of poll(2), including POLLERR and
   * POLLHUP. `start` itself returns `-EBUSY` while another wait is under way, that is, until its callback is called. It
   * refuses `timeoutMs` < 0 (-EINVAL). The wait keeps the event loop alive unless `ref` is false.
   */
  readonly start: (events: number, timeoutMs: number, ref: boolean, callback: (result: number) => void) => number;
  /**
   * Starts a wait for an eventfd's count, as `start` does, and takes the count as soon as there is one: `taken` gets it
   * (1 to 2^64 - 1). A wait that ends without a count calls `ended` instead, with 0 after `timeoutMs` or with `-errno`.
   * Native code reads the count itself, because one more call from JavaScript would delay an interrupt by two
   * microseconds. The eventfd must be non-blocking (EFD_NONBLOCK); `-EINVAL` for any other file.
   */
  readonly take: (
    timeoutMs: number,
    ref: boolean,
    taken: (count: bigint) => void,
    ended: (result: number) => void,
  ) => number;
  /** Whether a wait is under way, that is, whether `start` and `take` would return `-EBUSY`. */
  readonly waiting: () => boolean;
  /** Ends a wait under way: its callback gets `-ECANCELED` (asynchronously). */
  readonly stop: () => number;
  /** Ends a wait under way as `stop` does. 0, or `-EBADF` when already closed. The descriptor stays open. */
  readonly close: () => number;
}

/** What one call received (recvmsg(2)). */
export interface ReceivedMessage {
  /** Bytes received; 0 at end of stream; `-errno` (`-ETIMEDOUT` when nothing came in time). */
  length: number;
  /** Descriptors that came with the bytes, close-on-exec. The caller owns them. */
  fds: number[];
  /** True when more descriptors came than there was room for. The surplus is closed. */
  fdsTruncated: boolean;
}

/**
 * A stream socket and the memory of its messages, for many short messages. It costs a third of `sendMessage` and
 * `receiveMessage`. The functions are closures, so they work apart from the object.
 */
export interface NativeSocket {
  /**
   * Sends the first `length` bytes of the output. 0 or `-errno`, as `sendMessage`; `-EINVAL` for a length or time-out
   * out of range, or a detached buffer.
   */
  readonly send: (length: number, timeoutMs: number) => number;
  /**
   * Receives up to `length` bytes into the input at `offset` (one recvmsg). Gives their count, 0 at the end of the
   * stream, or `-errno`, as `receiveMessage`; `-EINVAL` as above. It fills the memory for descriptors with how many
   * came, with 1 when more came than there was room for (else 0), and with the descriptors, which the caller then owns.
   */
  readonly receive: (offset: number, length: number, spinMicroseconds: number, timeoutMs: number) => number;
}

/** What this machine's CPU can do. */
export interface CpuFeatures {
  /** Whether `store64Bytes` is one store. */
  readonly movdir64b: boolean;
}

/**
 * The addon's functions. Each is one system call or a few, without policy; all return `-errno` instead of throwing,
 * but for wrong types.
 */
export interface NativeBinding {
  // --- file descriptors (Linux open(2), close(2), pread(2), …; the addon always adds O_CLOEXEC) ---
  /** open(2) with O_CLOEXEC. A descriptor, or `-errno`. */
  readonly open: (path: string, flags: number, mode?: number) => number;
  /** close(2). 0, or `-errno`. */
  readonly close: (fd: number) => number;
  /** A further descriptor of the same open file, with FD_CLOEXEC; or `-errno`. */
  readonly dup: (fd: number) => number;
  /** A short count is possible. `offset` in bytes, < 2^63. */
  readonly pread: (fd: number, into: Bytes, offset: bigint | number) => number;
  /** As `pread`: pwrite(2). The count of written bytes, or `-errno`. */
  readonly pwrite: (fd: number, from: Bytes, offset: bigint | number) => number;
  /** read(2) at the file's position. The count of read bytes, or `-errno`. */
  readonly read: (fd: number, into: Bytes) => number;
  /** write(2) at the file's position. The count of written bytes, or `-errno`. */
  readonly write: (fd: number, from: Bytes) => number;
  /** ftruncate(2): makes the file `size` bytes long. 0, or `-errno`. */
  readonly ftruncate: (fd: number, size: number) => number;
  /** fcntl with an integer argument (F_GETFL, F_SETFL, F_ADD_SEALS, …). It refuses commands that take an address. */
  readonly fcntl: (fd: number, command: number, argument?: number) => number;
  /** memfd_create(2). A descriptor, or `-errno`. */
  readonly memfdCreate: (name: string, flags: number) => number;

  /**
   * ioctl(2). `argument` undefined: no argument (0); a number or bigint: passed by value; bytes: passed by address.
   *
   * `links` are pairs (offset, bytes). Before the call, the addon writes the address of the bytes (as u64) at that
   * offset of `argument`; afterwards it restores the pointer field. While the kernel works, the argument and every
   * linked buffer lie in a staging area directly before an inaccessible page. The addon copies them back afterwards, so
   * a lying length field ends in `-EFAULT` and never overwrites the heap. At most 4 links of at most 1 MiB each.
   * Returns the ioctl's result or `-errno`. The caller decides whether to retry on EINTR.
   */
  readonly ioctl: (
    fd: number,
    request: number,
    argument?: Bytes | number | bigint,
    ...links: (number | Bytes)[]
  ) => number;

  /**
   * Binds a request with an argument of `length` bytes (a multiple of 8, at most 4096) to a descriptor. The descriptor
   * must stay open until `close`. `-errno` on failure.
   */
  bindIoctl(fd: number, request: number, length: number): NativeIoctl | number;

  // --- memory ---
  /**
   * Memory for JavaScript to read and write freely. `-errno` on failure; `-EFBIG` when it is longer than an ArrayBuffer
   * of this Node can be (Node 20: 4 GiB); `-ENXIO` when the file ends before the range. Where the file shrinks later,
   * an access finds private memory of zeros, which stays. Seal a file whose content matters (F_SEAL_SHRINK).
   */
  readonly mapMemory: (options: MapOptions) => NativeMemory | number;
  /** Memory that only the accessors reach. `-errno` on failure. */
  readonly mapIo: (options: MapOptions) => NativeIo | number;
  /** Bytes of an ordinary page of this machine. */
  readonly pageSize: () => number;
  /** What the CPU has, as far as this addon uses it. */
  readonly cpuFeatures: () => CpuFeatures;

  // --- waiting ---
  /** eventfd(2) with EFD_CLOEXEC. A descriptor, or `-errno`. */
  readonly eventfd: (initialValue: number, flags: number) => number;
  /**
   * poll(2) of one descriptor. Blocks the thread for at most `timeoutMs` (0..60_000). Events > 0, 0 on time-out,
   * -errno.
   */
  readonly pollBlocking: (fd: number, events: number, timeoutMs: number) => number;
  /** A poller of the descriptor for the calling thread's event loop, or `-errno`. The descriptor stays the caller's. */
  readonly createPoller: (fd: number) => NativePoller | number;

  // --- Unix stream sockets ---
  /** Two connected Unix stream sockets, or `-errno`. */
  readonly socketpair: () => [number, number] | number;
  /** A listening Unix stream socket at the path, non-blocking; or `-errno` (`-EADDRINUSE` when the path exists). */
  readonly unixListen: (path: string, backlog: number) => number;
  /** Waits at most `timeoutMs` for a connection. */
  readonly unixAccept: (fd: number, timeoutMs: number) => number;
  /** Never blocks: `-EAGAIN` when the listener's backlog is full. */
  readonly unixConnect: (path: string) => number;
  /**
   * Sends all of `parts` (gathered, one sendmsg where it fits) with `fds` on the first byte. Blocks for at most
   * `timeoutMs`. Total bytes sent or `-errno` (`-EPIPE` without a signal, `-ETIMEDOUT`). At most 16 parts, 253 fds.
   * After a failure, close the socket: it may have sent a part.
   */
  readonly sendMessage: (fd: number, parts: Bytes[], fds: number[], timeoutMs: number) => number;
  /**
   * Receives up to `into.length` bytes (one recvmsg) and up to `maxFds` descriptors. `waitAll` collects exactly that
   * many bytes; it gives fewer only when the stream ends, fails or the time is over midway, which the next call tells.
   * Spins for at most `spinMicroseconds` (0..1000), then blocks for at most `timeoutMs` (0..60_000).
   */
  readonly receiveMessage: (
    fd: number,
    into: Bytes,
    maxFds: number,
    spinMicroseconds: number,
    timeoutMs: number,
    waitAll: boolean,
  ) => ReceivedMessage;
  /**
   * The caller keeps the descriptor, and must keep it open while it uses the functions. `fds` has room for 2 numbers
   * more than descriptors.
   */
  readonly bindSocket: (fd: number, output: Bytes, input: Bytes, fds: Int32Array) => NativeSocket;

  // --- process and threads ---
  /** The calling thread's number in the kernel. */
  readonly gettid: () => number;
  /** CPU numbers the thread (0 = calling) may run on, or -errno. */
  readonly getAffinity: (tid: number) => number[] | number;
  /** The CPU numbers that the thread (0 = calling) may run on from now on. 0, or `-errno`. */
  readonly setAffinity: (tid: number, cpus: number[]) => number;
  /**
   * Makes a blocking system call of that thread of this process (ioctl, read, write) return EINTR, by a real-time
   * signal with an empty handler. Waits with a time-out go on.
   */
  readonly interruptThread: (tid: number) => number;
  /** [soft, hard]; a resource number of getrlimit(2); Infinity for RLIM_INFINITY. */
  readonly getResourceLimit: (resource: number) => [number, number] | number;
  /** setrlimit(2); Infinity for RLIM_INFINITY. 0, or `-errno` (`-EPERM` beyond the hard limit). */
  readonly setResourceLimit: (resource: number, soft: number, hard: number) => number;
  /**
   * Calls `call(...args)` while the kernel fails the n-th place of this thread's system calls that can fail: allocations,
   * copies from and to user memory (fault injection, Documentation/fault-injection/fault-injection.rst). Pass a function
   * of the addon: the engine's own system calls would use the count up. Gives the call's result and the places that were
   * left, 0 when one failed; or `-errno`, when nothing was called: `-ENOENT` on a kernel without
   * CONFIG_FAULT_INJECTION. `n` is 1 to 2^20; at most 16 arguments.
   */
  readonly failNth: <Arguments extends readonly unknown[], Result>(
    n: number,
    call: (...args: Arguments) => Result,
    ...args: Arguments
  ) => [result: Result, left: number] | number;

  // --- the next kernel ---
  /**
   * kexec_file_load(2) without an initramfs: loads the kernel image of a descriptor, with its command line. It only makes
   * the image ready. `-ENOSYS` without CONFIG_KEXEC_FILE, `-EPERM` without CAP_SYS_BOOT, `-ENOEXEC` for what is no image.
   */
  readonly kexecFileLoad: (kernel: number, commandLine: string) => number;
  /** Jumps into the loaded kernel at once (reboot(2), LINUX_REBOOT_CMD_KEXEC). It returns only `-errno`: `-EINVAL` when none is loaded. */
  readonly kexec: () => number;
}
