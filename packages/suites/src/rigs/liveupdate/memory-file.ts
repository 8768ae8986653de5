import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { systemError } from "@vfio-selftests/core/errors";
import { F_ADD_SEALS, F_GET_SEALS, MFD_ALLOW_SEALING } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { PseudoRandom } from "../dma/pseudo-random";

/** Both kernels of a live update know it. */
const SEED = 0x10_ab1e;

/** The sequence, as far as a test has asked for it: it takes long to make on an emulated CPU. */
let sequence: Uint8Array = new Uint8Array(0);

/** A memfd with the first bytes of one sequence, so that the next kernel knows what it must find. */
export class MemoryFile implements Disposable {
  readonly #file: OwnedDescriptor;

  /** Owns the descriptor from now on. */
  constructor(file: OwnedDescriptor) {
    this.#file = file;
  }

  /** Makes a file of so many bytes. `flags`: MFD_*. */
  static create(bytes: number, flags = MFD_ALLOW_SEALING): MemoryFile {
    const file = new OwnedDescriptor(required(native.memfdCreate("liveupdate", flags), "memfd_create"), "memfd");
    required(native.ftruncate(file.descriptor("ftruncate"), bytes), "ftruncate");
    return new MemoryFile(file);
  }

  static content(bytes: number): Uint8Array {
    if (sequence.length < bytes) {
      sequence = new Uint8Array(bytes);
      new PseudoRandom(SEED).fill(sequence);
    }
    return sequence.subarray(0, bytes);
  }

  get descriptor(): number {
    return this.#file.descriptor("MemoryFile.descriptor");
  }

  /** Whether the file has so many bytes, and the sequence's. */
  holds(bytes: number): boolean {
    return Buffer.compare(this.read(bytes), MemoryFile.content(bytes)) === 0;
  }

  get seals(): number {
    return required(native.fcntl(this.descriptor, F_GET_SEALS), "F_GET_SEALS");
  }

  seal(seals: number): void {
    required(native.fcntl(this.descriptor, F_ADD_SEALS, seals), "F_ADD_SEALS");
  }

  write(content: Uint8Array): void {
    for (let done = 0; done < content.length;) {
      done += required(native.pwrite(this.descriptor, content.subarray(done), done), "pwrite");
    }
  }

  /** Everything in the file, which must not be larger than expected by more than a page. */
  read(expected: number): Uint8Array {
    const content = new Uint8Array(expected + 4096);
    let done = 0;
    for (let more = 1; more > 0; done += more) {
      more = required(native.pread(this.descriptor, content.subarray(done), done), "pread");
    }
    return content.subarray(0, done);
  }

  /** Reads from where the file's position is, which then is behind what was read. */
  readOn(bytes: number): Uint8Array {
    const content = new Uint8Array(bytes);
    return content.subarray(0, required(native.read(this.descriptor, content), "read"));
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function required(result: number, operation: string): number {
  if (result < 0) throw systemError(result, operation, { subject: "memfd" });
  return result;
}
