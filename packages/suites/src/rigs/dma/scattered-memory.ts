import { MAP_ANONYMOUS, MAP_PRIVATE } from "@vfio-selftests/core/uapi";
import { native, type NativeMemory } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { codeOf } from "../raw/ask-kernel";

/** asm-generic/mman-common.h */
const MADV_NOHUGEPAGE = 15;

/** Memory of small pages that are no neighbours in the machine's memory: an IOMMU maps and unmaps each by itself. */
export class ScatteredMemory implements Disposable {
  readonly #between: NativeMemory;
  readonly #memory: NativeMemory;

  constructor(pages: number) {
    this.#memory = smallPages(pages);
    this.#between = smallPages(pages);
    // The kernel hands out neighbours one after the other: every second one goes to the memory between.
    const views = [this.#memory, this.#between].map(({ buffer }) => new Uint8Array(buffer));
    for (let page = 0; page < pages; page++) for (const view of views) view[page * PAGE_SIZE] = 1;
  }

  get address(): bigint {
    return this.#memory.address;
  }

  [Symbol.dispose](): void {
    this.#memory.unmap();
    this.#between.unmap();
  }
}

function smallPages(pages: number): NativeMemory {
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const memory = native.mapMemory({ fd: -1, length: pages * PAGE_SIZE, flags, advice: MADV_NOHUGEPAGE });
  if (typeof memory === "number") throw new Error(`mmap: ${codeOf(memory)}`);
  return memory;
}
