import { MAP_ANONYMOUS, MAP_PRIVATE } from "@vfio-selftests/core/uapi";
import { native, type NativeMemory } from "@vfio-selftests/native";
import { codeOf } from "../raw/ask-kernel";
import { pageFrame } from "./page-frame";
import { PAGE_SIZE } from "./page-size";

/** asm-generic/mman-common.h */
const MADV_NOHUGEPAGE = 15;
/** The first new pages may come from anywhere. Among so many, some come from where nothing was taken before. */
const SEARCHED = 16_384;

/** Small pages that follow one another in the machine's memory, too: an IOMMU maps and unmaps them as one piece. */
export class ContiguousMemory implements Disposable {
  readonly address: bigint;
  readonly length: number;
  readonly #memory: NativeMemory;

  constructor(pages: number) {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const memory = native.mapMemory({ fd: -1, length: SEARCHED * PAGE_SIZE, flags, advice: MADV_NOHUGEPAGE });
    if (typeof memory === "number") throw new Error(`mmap: ${codeOf(memory)}`);
    this.#memory = memory;
    this.length = pages * PAGE_SIZE;
    const first = findRun(memory, pages);
    if (first === undefined) {
      memory.unmap();
      throw new Error(`no ${pages} of ${SEARCHED} new pages are neighbours in the machine's memory`);
    }
    this.address = memory.address + BigInt(first * PAGE_SIZE);
  }

  [Symbol.dispose](): void {
    this.#memory.unmap();
  }
}

/** The number of the first of so many pages with one frame after another. */
function findRun({ address, buffer }: NativeMemory, pages: number): number | undefined {
  const bytes = new Uint8Array(buffer);
  let run = 0;
  let last = 0n;
  for (let page = 0; page < SEARCHED; page++) {
    bytes[page * PAGE_SIZE] = 1;
    const frame = pageFrame(address + BigInt(page * PAGE_SIZE));
    run = frame === last + 1n ? run + 1 : 1;
    last = frame;
    if (run === pages) return page - pages + 1;
  }
  return undefined;
}
