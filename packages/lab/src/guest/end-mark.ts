import { Transform, type TransformCallback } from "node:stream";

/**
 * Passes bytes on as they come, up to a mark that ends the stream, and drops what follows. It holds back only bytes
 * that may be the beginning of the mark.
 */
export class EndMarkStream extends Transform {
  readonly #mark: Buffer;
  #held: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(mark: string) {
    super();
    this.#mark = Buffer.from(mark, "latin1");
  }

  /** Whether the mark has come. */
  get complete(): boolean {
    return this.#ended;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    if (this.#ended) {
      callback();
      return;
    }
    const data = Buffer.concat([this.#held, chunk]);
    const end = data.indexOf(this.#mark);
    if (end >= 0) {
      this.#ended = true;
      this.#held = Buffer.alloc(0);
      if (end > 0) this.push(data.subarray(0, end));
      this.push(null);
    } else {
      const held = this.#beginningOfMark(data);
      if (held < data.length) this.push(data.subarray(0, data.length - held));
      this.#held = data.subarray(data.length - held);
    }
    callback();
  }

  /** Called when the stream was cut off before its mark. The bytes held back then belong to it. */
  override _flush(callback: TransformCallback): void {
    if (!this.#ended && this.#held.length > 0) this.push(this.#held);
    callback();
  }

  /** Length of the longest beginning of the mark with which `data` ends. */
  #beginningOfMark(data: Buffer): number {
    for (let length = Math.min(this.#mark.length - 1, data.length); length > 0; length--) {
      if (data.subarray(data.length - length).equals(this.#mark.subarray(0, length))) return length;
    }
    return 0;
  }
}
