import { createHash } from "node:crypto";
import { struct, StructView, u32, u64 } from "@vfio-selftests/core/uapi";

/**
 * The migration data of this package's server: frames one after the other, each of fields, content and the SHA-256 of
 * both. The specification leaves the content of the stream to the server.
 */
const frame = struct(56, {
  magic: u32(0),
  kind: u32(4),
  /** The model's version of its own data. */
  version: u32(8),
  /** In the last frame: how many frames of kind `ahead` belong to it. */
  ahead: u32(12),
  /** Bytes of the content. */
  length: u64(16),
});
/** Where the model's name lies, padded with zeros. */
const NAME_OFFSET = 24;
const NAME_BYTES = 32;
const DIGEST_BYTES = 32;

/** "VSMD" */
const MAGIC = 0x444d_5356;

/** What a frame is: the device's identity alone, content sent while the device ran, or the state of the stopped device. */
export const FrameKind = { identity: 0, ahead: 1, state: 2 } as const;
type Kind = (typeof FrameKind)[keyof typeof FrameKind];

/** The most bytes of a device's data: far more than a device has registers. */
const MAX_DATA = 256 * 1024 * 1024;

/** What the data of a device say of it. Data of another device are refused. */
export interface DeviceIdentity {
  readonly name: string;
  readonly version: number;
}

/** What arrived for a device: its state, and what was sent before. */
export interface ArrivedState {
  readonly state: Uint8Array;
  readonly ahead: readonly Uint8Array[];
}

export function encodeFrame(identity: DeviceIdentity, kind: Kind, content: Uint8Array, ahead = 0): Uint8Array {
  const { fields, size } = frame;
  const view = frame.allocate();
  fields.magic.set(view, MAGIC);
  fields.kind.set(view, kind);
  fields.version.set(view, identity.version);
  fields.ahead.set(view, ahead);
  fields.length.setNumber(view, content.length);
  view.bytes.set(nameBytes(identity.name), NAME_OFFSET);
  const whole = new Uint8Array(size + content.length + DIGEST_BYTES);
  whole.set(view.bytes);
  whole.set(content, size);
  whole.set(digest(whole.subarray(0, size + content.length)), size + content.length);
  return whole;
}

/** Takes a device's data apart as they come, in pieces of any size. */
export class FrameReader {
  readonly #identity: DeviceIdentity;
  readonly #ahead: Uint8Array[] = [];
  #chunks: Uint8Array[] = [];
  #have = 0;
  #total = 0;
  #need = frame.size;
  #state: Uint8Array | undefined;
  #foreign = false;

  constructor(identity: DeviceIdentity) {
    this.#identity = identity;
  }

  /** The data are altered, another device's, or too many. They cannot become good any more. */
  get invalid(): boolean {
    return this.#foreign;
  }

  /** Undefined until the last byte has come. */
  get arrived(): ArrivedState | undefined {
    return this.#state === undefined || this.#foreign ? undefined : { state: this.#state, ahead: this.#ahead };
  }

  /** False if it does not take the bytes: the data are invalid, or complete. It copies what it takes. */
  write(bytes: Uint8Array): boolean {
    if (this.#foreign || (bytes.length > 0 && this.#state !== undefined)) return false;
    this.#chunks.push(bytes.slice());
    this.#have += bytes.length;
    this.#total += bytes.length;
    if (this.#total > MAX_DATA) this.#foreign = true;
    while (!this.#foreign && this.#have >= this.#need) this.#take();
    return !this.#foreign;
  }

  /** Takes the fields of a frame, or a whole frame, out of what has come. */
  #take(): void {
    const [first] = this.#chunks;
    const bytes =
      first !== undefined && this.#chunks.length === 1
        ? Buffer.from(first.buffer, first.byteOffset, first.length)
        : Buffer.concat(this.#chunks, this.#have);
    const { fields, size } = frame;
    const view = new StructView(size);
    view.bytes.set(bytes.subarray(0, size));
    const length = fields.length.getNumber(view);
    this.#chunks = [bytes];
    if (!this.#isOwn(view, length)) {
      this.#foreign = true;
      return;
    }
    const whole = size + length + DIGEST_BYTES;
    if (this.#have < whole) {
      this.#need = whole;
      return;
    }
    const content = bytes.subarray(size, size + length);
    const kind = fields.kind.get(view);
    const rest = bytes.subarray(whole);
    this.#foreign =
      !digest(bytes.subarray(0, size + length)).equals(bytes.subarray(size + length, whole)) ||
      (kind === FrameKind.state && (fields.ahead.get(view) !== this.#ahead.length || rest.length > 0));
    if (kind === FrameKind.ahead) this.#ahead.push(content);
    else if (kind === FrameKind.state) this.#state = content;
    this.#chunks = [rest];
    this.#have = rest.length;
    // Nothing follows the state.
    this.#need = this.#state === undefined ? size : Infinity;
  }

  #isOwn(view: StructView, length: number): boolean {
    const { fields } = frame;
    const name = view.bytes.subarray(NAME_OFFSET, NAME_OFFSET + NAME_BYTES);
    return (
      fields.magic.get(view) === MAGIC &&
      fields.kind.get(view) <= FrameKind.state &&
      fields.version.get(view) === this.#identity.version &&
      length <= MAX_DATA &&
      Buffer.from(nameBytes(this.#identity.name)).equals(name)
    );
  }
}

function nameBytes(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(new TextEncoder().encode(name).subarray(0, NAME_BYTES));
  return bytes;
}

function digest(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
