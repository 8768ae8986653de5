import { MAP_SHARED } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { codeOf } from "./ask-kernel";

/** Memory whose pages are gone, so that the kernel can neither read nor write it. */
export class MemoryWithoutPages implements Disposable {
  readonly bytes: Uint8Array;
  readonly #unmap: () => void;

  constructor() {
    const fd = native.memfdCreate("nowhere", 0);
    native.ftruncate(fd, PAGE_SIZE);
    const memory = native.mapMemory({ fd, length: PAGE_SIZE, flags: MAP_SHARED });
    native.ftruncate(fd, 0);
    native.close(fd);
    if (typeof memory === "number") throw new Error(`mmap: ${codeOf(memory)}`);
    this.bytes = new Uint8Array(memory.buffer);
    this.#unmap = () => memory.unmap();
  }

  [Symbol.dispose](): void {
    this.#unmap();
  }
}
