import { native, type NativeMemory } from "@vfio-selftests/native";
import type { DmaMapping, MappableMemory, MemoryBacking } from "../contracts/memory";
import { argumentError, closedError, systemError, type VfioError } from "../errors/vfio-error";
import { OwnedDescriptor } from "../ownership/owned-descriptor";
import { hugePageCounts, hugePageFile } from "../sysfs/huge-pages";
import { systemPaths } from "../sysfs/system-paths";
import { F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, MAP_POPULATE } from "../uapi/mman";
import { type BackingKind, BACKINGS } from "./backing";
import { MappingRecord } from "./mapping-record";

/** What memory to take from the kernel. */
export interface DmaMemoryOptions {
  /** Default `anonymous`. */
  backing?: MemoryBacking;
  /** Bytes, a power of two. The address is a multiple of it. Default: the page size. */
  alignment?: number;
  /** Take the pages from the kernel now (MAP_POPULATE), so that a later map need not. Default false. */
  populate?: boolean;
}

/** Bytes. `native.mapMemory` takes at most this, half of what a process can address. */
const LARGEST_ALIGNMENT = 2 ** 46;

/**
 * Zeroed memory of this process for DMA, seen through an ArrayBuffer.
 *
 * Fill it through typed arrays. Poll what a device writes with `Atomics.load`, because the JIT may merge or drop plain
 * reads. After `close`, earlier views show zeros that no device sees, so work under way on them (zlib, crypto, fs in
 * other threads) does no harm.
 */
export class DmaMemory implements MappableMemory, Disposable {
  /** What pages it is made of. */
  readonly backing: MemoryBacking;
  readonly address: bigint;
  /** Bytes: the requested length, rounded up to the backing's page size. */
  readonly length: number;
  readonly #file: OwnedDescriptor | undefined;
  readonly #memory: NativeMemory;
  readonly #mappings = new MappingRecord();
  #closed = false;

  private constructor(memory: NativeMemory, backing: MemoryBacking, file: OwnedDescriptor | undefined) {
    this.#memory = memory;
    this.backing = backing;
    this.address = memory.address;
    this.length = memory.length;
    this.#file = file;
  }

  /**
   * Allocates `length` bytes (1 to 2^40). Errors: `ENOMEM` (for huge pages with the counts and the remedy),
   * `ERR_INVALID_ARGUMENT`.
   */
  static allocate(length: number, options: DmaMemoryOptions = {}): DmaMemory {
    const backing = options.backing ?? "anonymous";
    const kind = BACKINGS[backing] as BackingKind | undefined;
    if (kind === undefined) {
      throw argumentError("DmaMemory.allocate", "backing", backing, Object.keys(BACKINGS).join(", "));
    }
    if (!Number.isInteger(length) || length < 1 || length > 2 ** 40) {
      throw argumentError("DmaMemory.allocate", "length", length, "an integer from 1 to 2^40 bytes");
    }
    const pageSize = kind.hugePageSize ?? native.pageSize();
    const alignment = options.alignment ?? 0;
    if (alignment !== 0 && !(alignment <= LARGEST_ALIGNMENT && isPowerOfTwo(alignment))) {
      throw argumentError("DmaMemory.allocate", "alignment", alignment, "a power of two, at most 2^46");
    }
    const rounded = Math.ceil(length / pageSize) * pageSize;

    const file = kind.memfdFlags === undefined ? undefined : createMemfd(rounded, kind.memfdFlags);
    const memory = native.mapMemory({
      fd: file?.descriptor("mmap") ?? -1,
      length: rounded,
      flags: kind.mapFlags | (options.populate === true ? MAP_POPULATE : 0),
      alignment: alignment <= pageSize ? 0 : alignment,
    });
    if (typeof memory === "number") {
      file?.close();
      throw kind.hugePageSize === undefined
        ? systemError(memory, "mmap", { subject: `${rounded} bytes of ${backing} memory` })
        : hugePageError(memory, backing, rounded, kind.hugePageSize);
    }
    return new DmaMemory(memory, backing, file);
  }

  /** The memfd behind the memory; undefined for anonymous memory. Throws ERR_CLOSED after `close`. */
  get file(): { readonly fd: number; readonly offset: number } | undefined {
    return this.#file === undefined ? undefined : { fd: this.#file.descriptor("DmaMemory.file"), offset: 0 };
  }

  /** Throws ERR_CLOSED after `close`. */
  get buffer(): ArrayBuffer {
    if (this.#closed) throw closedError("DmaMemory.buffer", this.#name);
    return this.#memory.buffer;
  }

  get closed(): boolean {
    return this.#closed;
  }

  addMapping(mapping: DmaMapping): void {
    this.#mappings.add(mapping);
  }

  removeMapping(mapping: DmaMapping): void {
    this.#mappings.remove(mapping);
  }

  /**
   * Gives the memory back to the kernel. Idempotent. Throws ERR_STILL_MAPPED, with the IOVA, while the memory is mapped
   * for DMA, because the kernel has it pinned.
   */
  close(): void {
    if (this.#closed) return;
    this.#mappings.requireNone("DmaMemory.close", this.#name);
    const result = this.#memory.unmap();
    if (result < 0) throw systemError(result, "DmaMemory.close", { subject: this.#name });
    this.#closed = true;
    this.#file?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #name(): string {
    return `${this.length} bytes of ${this.backing} memory at 0x${this.address.toString(16)}`;
  }
}

/** Below 2^47 a logarithm takes no other number for one. */
function isPowerOfTwo(value: number): boolean {
  return value >= 1 && Number.isInteger(Math.log2(value));
}

function createMemfd(length: number, flags: number): OwnedDescriptor {
  const fd = native.memfdCreate("vfio-selftests", flags);
  if (fd < 0) throw systemError(fd, "memfd_create");
  const file = new OwnedDescriptor(fd, `memfd of ${length} bytes`);
  const result = native.ftruncate(fd, length);
  if (result < 0) {
    file.close();
    throw systemError(result, "ftruncate", { subject: file.name });
  }
  // A peer that maps the file must not be able to take pages away from us.
  native.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
  return file;
}

function hugePageError(result: number, backing: MemoryBacking, length: number, pageSize: number): VfioError {
  const counts = hugePageCounts(pageSize);
  const size = pageSize >= 1024 ** 3 ? "1 GiB" : "2 MiB";
  const needed = length / pageSize;
  const operation = "mmap of huge pages";
  const subject = `${needed} × ${size} (${backing})`;
  if (counts === undefined) {
    return systemError(result, operation, {
      subject,
      message: `no huge pages of ${size}: this kernel or CPU does not have them`,
      remedy: "use a kernel with CONFIG_HUGETLBFS and a CPU with that page size, or another backing",
    });
  }
  const state = `${counts.reserved} reserved, ${counts.free} free, ${counts.promised} promised to others`;
  return systemError(result, operation, {
    subject,
    message: `not enough huge pages of ${size}: ${needed} needed; ${state}`,
    remedy: `echo ${counts.reserved + needed} > ${hugePageFile(pageSize, systemPaths)} (as root; 1 GiB pages best at boot: hugepagesz=1G hugepages=N)`,
  });
}
