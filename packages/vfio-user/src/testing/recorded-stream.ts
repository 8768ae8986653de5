import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What another project's client says to a server, as bytes. The files in `streams/` tell how each was obtained. */
export interface RecordedStream {
  readonly client: string;
  readonly how: string;
  /** The memory that the client maps between the messages before `index` and the rest. */
  readonly memory: { readonly address: string; readonly size: number; readonly offset: number; readonly index: number };
  readonly messages: readonly RecordedMessage[];
}

export interface RecordedMessage {
  readonly what: string;
  /** The message's bytes, header included, without the zeros at its end. */
  readonly hex: string;
  /** How many zeros follow. */
  readonly zeros: number;
  readonly fds?: readonly ("memory" | "eventfd")[];
  /** What the client accepts for an answer: `bytes` of body (-1: any number), or an error it can live with. */
  readonly reply: { readonly bytes?: number; readonly error?: number; readonly fds?: number };
}

export function recordedStream(name: "libvfio-user" | "rust-vmm" | "spdk"): RecordedStream {
  return JSON.parse(readFileSync(join(__dirname, "streams", `${name}.json`), "utf8")) as RecordedStream;
}

export function bytesOf({ hex, zeros }: RecordedMessage): Uint8Array {
  return Buffer.concat([Buffer.from(hex, "hex"), new Uint8Array(zeros)]);
}
