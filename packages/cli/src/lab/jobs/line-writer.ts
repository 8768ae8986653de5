import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Calls a function with each written line, without its line end. A last line need not have one. */
export class LineWriter extends Writable {
  readonly #onLine: (line: string) => void;
  readonly #decoder = new StringDecoder("utf8");
  #begun = "";

  constructor(onLine: (line: string) => void) {
    super();
    this.#onLine = onLine;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const lines = (this.#begun + this.#decoder.write(chunk)).split("\n");
    this.#begun = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line);
    callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    if (this.#begun !== "") this.#onLine(this.#begun);
    this.#begun = "";
    callback();
  }
}
