import type { DmaFault, DmaSpace } from "@vfio-selftests/vfio-user";
import { ChannelError } from "../registers/channel-error";
import { type Descriptor, Operation } from "./descriptor";

/** Bytes of one access to memory that the client has not shared (each is a message), and of the fill pattern. */
const BOUNCE_BYTES = 0x1_0000;
const PATTERN_BYTES = 8;

/**
 * How a piece of a transfer ended: bytes moved (0: the access was aborted), or the channel error. The bytes before a
 * fault are moved.
 */
type Progress = { readonly bytes: number; readonly error?: never } | { readonly error: number };

/** A copy or fill, piece by piece. */
export interface Transfer {
  readonly remaining: number;
  /** Moves at most `limit` bytes (at least 1). */
  advance(dma: DmaSpace, limit: number): Progress;
}

/** `remaining`: bytes still to move. Fewer than the descriptor's: the device went on elsewhere after the others. */
export function startTransfer(descriptor: Descriptor, scratch: Uint8Array, remaining = descriptor.size): Transfer {
  const done = descriptor.size - remaining;
  return descriptor.operation === Operation.fill
    ? new Fill(descriptor, scratch, done)
    : new Copy(descriptor, scratch, done);
}

/** Memory for bytes that a transfer cannot move in place. */
export function transferScratch(): Uint8Array {
  return new Uint8Array(BOUNCE_BYTES + PATTERN_BYTES);
}

class Copy implements Transfer {
  remaining: number;
  #source: bigint;
  #destination: bigint;
  readonly #bounce: Uint8Array;

  constructor({ source, destination, size }: Descriptor, scratch: Uint8Array, done: number) {
    // Here and in #moved: most copies are a single piece, and BigInt(…) takes a tenth of a microsecond.
    this.#source = done === 0 ? source : source + BigInt(done);
    this.#destination = done === 0 ? destination : destination + BigInt(done);
    this.remaining = size - done;
    this.#bounce = scratch;
  }

  advance(dma: DmaSpace, limit: number): Progress {
    const wanted = Math.min(this.remaining, limit);
    const from = dma.view(this.#source, wanted, "read");
    const to = from === undefined ? undefined : dma.view(this.#destination, from.length, "write");
    if (from === undefined || to === undefined) return this.#bounced(dma, from, wanted);
    to.set(to.length === from.length ? from : from.subarray(0, to.length));
    return this.#moved(to.length);
  }

  /** Copies through the model's own memory, where source or destination has no view. */
  #bounced(dma: DmaSpace, from: Uint8Array | undefined, wanted: number): Progress {
    let piece = this.#bounce.subarray(0, Math.min(wanted, from?.length ?? wanted, BOUNCE_BYTES));
    let unread: DmaFault | undefined;
    if (from === undefined) {
      unread = dma.read(this.#source, piece);
      if (unread?.reason === "aborted") return { bytes: 0 };
      // The piece holds the bytes before the fault. The device writes those, too.
      if (unread !== undefined) piece = piece.subarray(0, Number(unread.iova - this.#source));
    } else {
      piece.set(from.subarray(0, piece.length));
    }
    const unwritten = piece.length === 0 ? undefined : dma.write(this.#destination, piece);
    if (unwritten !== undefined) return failure(unwritten, ChannelError.destinationAddress, ChannelError.writeData);
    if (unread !== undefined) return failure(unread, ChannelError.sourceAddress, ChannelError.readData);
    return this.#moved(piece.length);
  }

  #moved(bytes: number): Progress {
    this.remaining -= bytes;
    if (this.remaining > 0) {
      this.#source += BigInt(bytes);
      this.#destination += BigInt(bytes);
    }
    return { bytes };
  }
}

class Fill implements Transfer {
  remaining: number;
  #destination: bigint;
  /** The eight bytes, repeated. */
  readonly #pattern: Uint8Array;
  /** Position of the next byte in the eight bytes. */
  #phase = 0;

  constructor({ source, destination, size }: Descriptor, scratch: Uint8Array, done: number) {
    this.#destination = destination + BigInt(done);
    this.#phase = done % PATTERN_BYTES;
    this.remaining = size - done;
    this.#pattern = scratch;
    const view = new DataView(scratch.buffer, scratch.byteOffset);
    view.setBigUint64(0, source, true);
    const used = Math.min(size, BOUNCE_BYTES) + PATTERN_BYTES;
    for (let filled = PATTERN_BYTES; filled < used; filled *= 2) scratch.copyWithin(filled, 0, filled);
  }

  advance(dma: DmaSpace, limit: number): Progress {
    const wanted = Math.min(this.remaining, limit, BOUNCE_BYTES);
    const to = dma.view(this.#destination, wanted, "write");
    const bytes = to?.length ?? wanted;
    const piece = this.#pattern.subarray(this.#phase, this.#phase + bytes);
    if (to === undefined) {
      const fault = dma.write(this.#destination, piece);
      if (fault !== undefined) return failure(fault, ChannelError.destinationAddress, ChannelError.writeData);
    } else {
      to.set(piece);
    }
    this.#destination += BigInt(bytes);
    this.#phase = (this.#phase + bytes) % PATTERN_BYTES;
    this.remaining -= bytes;
    return { bytes };
  }
}

function failure(fault: DmaFault, address: number, data: number): Progress {
  if (fault.reason === "aborted") return { bytes: 0 };
  return { error: fault.reason === "failed" ? data : address };
}
