import type { IovaRange } from "@vfio-selftests/core";
import { s32, struct, type StructView, u32, u64 } from "@vfio-selftests/core/uapi";
import type { KernelFile } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { outcome } from "../raw/ask-kernel";
import type { MediatedType } from "./mediated-device";

/** The lab's own mediated device, which calls for tests what VFIO offers to drivers (packages/lab/kernel/mpin/mpin.c). */
export const PIN_DEVICE: MediatedType = {
  driver: "mpin",
  name: "1",
  missing: {
    reason: "this kernel has no mediated device that pins memory as it is told (mpin)",
    remedy:
      "use the lab's own kernel for x86, which has that driver: vfio-selftests lab setup builds it, vfio-selftests lab run boots it",
  },
};

/** How many pages one call may pin: VFIO_PIN_PAGES_MAX_ENTRIES. */
export const MOST_PAGES = 512;

/** struct mpin_block without its data, which follow. */
const block = struct(64, {
  operation: u32(0),
  result: s32(4),
  iova: u64(8),
  count: u32(16),
  argument: u32(20),
  unmaps: u64(24),
  unmap_iova: u64(32),
  unmap_length: u64(40),
});
const PARAMETERS = { start: block.fields.iova.offset, end: block.fields.unmaps.offset };
const WORD = 8;

/** enum mpin_operation */
const PIN = 1;
const UNPIN = 2;
const READ = 3;
const WRITE = 4;
const COMBINE = 5;

/** What a pin is for. */
export const IOMMU_READ = 1;
export const IOMMU_WRITE = 2;

/** What the kernel's function returned, or the errno's name. */
export type PinOutcome = number | string;

/** An open device of this kind. Every answer is the kernel's. */
export class PinDevice {
  readonly #file: KernelFile;

  /** `file` stays its owner's. */
  constructor(file: KernelFile) {
    this.#file = file;
  }

  /** vfio_pin_pages. `frames`: the numbers of the pinned pages of physical memory. */
  pin(iova: bigint, pages: number, access = IOMMU_READ | IOMMU_WRITE): { outcome: PinOutcome; frames: bigint[] } {
    const pinned = this.#run(PIN, iova, pages, access);
    return { outcome: pinned, frames: this.#words(typeof pinned === "number" ? pinned : 0) };
  }

  /** vfio_unpin_pages of what one earlier call pinned; ENOENT where none did. */
  unpin(iova: bigint, pages: number): PinOutcome {
    return this.#run(UNPIN, iova, pages);
  }

  /** vfio_dma_rw */
  read(iova: bigint, length: number): { outcome: PinOutcome; bytes: Uint8Array } {
    const result = this.#run(READ, iova, length);
    return { outcome: result, bytes: this.#pread(block.size, length) };
  }

  /** vfio_dma_rw */
  write(iova: bigint, bytes: Uint8Array): PinOutcome {
    this.#pwrite(block.size, bytes);
    return this.#run(WRITE, iova, bytes.length);
  }

  /** vfio_combine_iova_ranges, until no more than `most` ranges are left. */
  combine(ranges: readonly IovaRange[], most: number): { outcome: PinOutcome; ranges: IovaRange[] } {
    const words = BigUint64Array.from(ranges.flatMap(({ start, last }) => [start, last]));
    this.#pwrite(block.size, new Uint8Array(words.buffer));
    const left = this.#run(COMBINE, 0n, ranges.length, most);
    const after = this.#words(2 * (typeof left === "number" ? left : 0));
    return {
      outcome: left,
      ranges: Array.from({ length: after.length / 2 }, (_, at) => ({
        start: after[2 * at] as bigint,
        last: after[2 * at + 1] as bigint,
      })),
    };
  }

  /** How often the kernel called dma_unmap, and the last call's range. */
  unmaps(): { count: number; iova: bigint; length: bigint } {
    const { unmaps, unmap_iova, unmap_length } = block.fields;
    const view = this.#status();
    return { count: Number(unmaps.get(view)), iova: unmap_iova.get(view), length: unmap_length.get(view) };
  }

  #run(operation: number, iova: bigint, count: number, argument = 0): PinOutcome {
    const view = block.allocate();
    block.fields.iova.set(view, iova);
    block.fields.count.set(view, count);
    block.fields.argument.set(view, argument);
    this.#pwrite(PARAMETERS.start, view.bytes.subarray(PARAMETERS.start, PARAMETERS.end));
    this.#pwrite(block.fields.operation.offset, new Uint8Array(Uint32Array.of(operation).buffer));
    return outcome(block.fields.result.get(this.#status()));
  }

  #status(): StructView {
    return block.copyOf(this.#pread(0, block.size));
  }

  #words(count: number): bigint[] {
    return [...new BigUint64Array(this.#pread(block.size, WORD * count).buffer)];
  }

  #pread(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    if (length > 0) whole("read", native.pread(this.#file.descriptor("read"), bytes, offset), length);
    return bytes;
  }

  #pwrite(offset: number, bytes: Uint8Array): void {
    whole("write", native.pwrite(this.#file.descriptor("write"), bytes, offset), bytes.length);
  }
}

function whole(operation: string, result: number, length: number): void {
  if (result !== length) throw new Error(`${operation} of ${length} bytes of the device's block: ${outcome(result)}`);
}
