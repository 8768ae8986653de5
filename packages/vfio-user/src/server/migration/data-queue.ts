/** Migration data that wait to be read, as a stream of bytes. */
export class DataQueue {
  readonly #parts: Uint8Array[] = [];

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#parts.push(bytes);
  }

  /** Moves as many bytes as there are, at most `into.length`. Returns how many. */
  read(into: Uint8Array): number {
    let done = 0;
    for (;;) {
      const part = this.#parts[0];
      if (part === undefined || done === into.length) return done;
      const taken = part.subarray(0, into.length - done);
      into.set(taken, done);
      done += taken.length;
      if (taken.length === part.length) this.#parts.shift();
      else this.#parts[0] = part.subarray(taken.length);
    }
  }
}
