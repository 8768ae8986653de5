import { MAP_SHARED } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../memory/page-size";
import { codeOf } from "./ask-kernel";

/** Bytes right before memory that is not there, for requests whose structure the kernel can read only in part. */
export class CutArgument implements Disposable {
  /** For `askPlainly`. */
  readonly address: number;
  readonly #unmap: () => void;

  constructor(bytes: Uint8Array) {
    const fd = native.memfdCreate("cut", 0);
    const start = PAGE_SIZE - bytes.length;
    const written = native.pwrite(fd, bytes, BigInt(start));
    // The file ends with its only page: behind it the mapping has none.
    const io = written < 0 ? written : native.mapIo({ fd, length: 2 * PAGE_SIZE, flags: MAP_SHARED });
    native.close(fd);
    if (typeof io === "number") throw new Error(`cut memory: ${codeOf(io)}`);
    this.address = Number(io.address) + start;
    this.#unmap = () => io.unmap();
  }

  [Symbol.dispose](): void {
    this.#unmap();
  }
}
