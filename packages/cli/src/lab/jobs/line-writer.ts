import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Gives each line of what is written to it, without its end; a last line that has none, too. */
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
