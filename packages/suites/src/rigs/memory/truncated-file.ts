import { MAP_SHARED } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "./page-size";

/** Memory whose last pages lie behind the end of their file: an access there is a bus error, a pin fails. */
export class TruncatedFile implements Disposable {
  readonly address: bigint;
  readonly #fd: number;
  readonly #unmap: () => number;

  constructor(pages: number, pagesOfFile: number) {
    this.#fd = native.memfdCreate("truncated", 0);
    const io =
      native.ftruncate(this.#fd, pagesOfFile * PAGE_SIZE) < 0
        ? -1
        : native.mapIo({ fd: this.#fd, length: pages * PAGE_SIZE, flags: MAP_SHARED });
    if (typeof io === "number") throw new Error(`a file of ${pagesOfFile} pages: ${io}`);
    this.address = io.address;
    this.#unmap = () => io.unmap();
  }

  /** The file has all its pages from now on. */
  grow(pages: number): void {
    if (native.ftruncate(this.#fd, pages * PAGE_SIZE) < 0) throw new Error(`the file did not grow to ${pages} pages`);
  }

  [Symbol.dispose](): void {
    this.#unmap();
    native.close(this.#fd);
  }
}
