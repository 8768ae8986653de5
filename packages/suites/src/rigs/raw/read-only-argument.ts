import { MAP_SHARED, PROT_READ } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";

/** Bytes that the kernel can read and not write, for requests that write their answer over the question. */
export class ReadOnlyArgument implements Disposable {
  /** For `askPlainly`. */
  readonly address: number;
  readonly #unmap: () => number;

  constructor(bytes: Uint8Array) {
    const fd = native.memfdCreate("read-only", 0);
    const written = native.pwrite(fd, bytes, 0n);
    const io = written < 0 ? written : native.mapIo({ fd, length: PAGE_SIZE, prot: PROT_READ, flags: MAP_SHARED });
    native.close(fd);
    if (typeof io === "number") throw new Error(`read-only memory: ${io}`);
    this.address = Number(io.address);
    this.#unmap = () => io.unmap();
  }

  [Symbol.dispose](): void {
    this.#unmap();
  }
}
