import { constants } from "node:os";
import { Commands } from "../../protocol/commands";
import { HEADER_SIZE } from "../../protocol/limits";
import { MessageBuffer } from "../../protocol/message-buffer";
import * as structs from "../../protocol/structs";
import type { MemoryPeer } from "./dma-space";

const { EIO, ETIMEDOUT } = constants.errno;

/**
 * Data bytes of one DMA message. A client may be sending to us at the same time. As long as our message fits into the
 * socket's buffer (some 200 KiB), neither end waits for the other to read.
 */
const CHUNK = 64 * 1024;

/** Bytes of the longest message and of its longest answer. */
export const DMA_MESSAGE_SIZE = HEADER_SIZE + structs.dma_access.size + CHUNK;

/**
 * How long a client may take to answer, in milliseconds. Then the access fails, as by a completion time-out on PCIe.
 */
const ANSWER_TIMEOUT_MS = 5_000;
/** How long one wait lasts before the server checks whether it was stopped. */
const SLICE_MS = 20;
const SPIN_MICROSECONDS = 50;

/** The most unanswered fault reports. The server sends no more, because the client is not reading. */
const MAX_REPORTS = 16;
/** The most answers that may be late. The server ends a client that exceeds this number. */
const MAX_UNAWAITED = 1000;

/** The client at the other end. */
export interface MessageClient {
  /** Most data bytes that it takes in one message. */
  readonly maxTransfer: number;
  readonly mayHaveNarrowCount: boolean;
  readonly hearsFaults: boolean;
}

/** The session, from the point of view of DMA by message. */
export interface MessageDmaHost {
  /** As {@link MessageSocket.send}, on the socket for requests to the client. */
  send(message: MessageBuffer, timeoutMs: number): number;
  /**
   * Waits for one message of the client's and handles it. It serves a request, and passes a reply to
   * {@link MessageDma.takeReply}.
   */
  receive(spinMicroseconds: number, timeoutMs: number): boolean;
  /** Ends the session with this client. */
  end(): void;
  ended(): boolean;
  /** Counts the device's resets. */
  resets(): number;
  /** Undefined before the two ends have exchanged versions. */
  client(): MessageClient | undefined;
}

/**
 * DMA by messages to the client: VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE, one at a time. It serves the client's
 * requests meanwhile, because QEMU holds its big lock while it waits for us.
 */
export class MessageDma implements MemoryPeer {
  readonly #host: MessageDmaHost;
  readonly #output = new MessageBuffer(DMA_MESSAGE_SIZE);
  #nextId = 0;
  #awaited: number | undefined;
  /** The awaited reply's outcome: a positive errno, or 0. */
  #outcome: number | undefined;
  /** Where the awaited reply's data go. */
  #into: Uint8Array | undefined;
  /** Ids of replies that will come and that nobody waits for. */
  readonly #unawaited: number[] = [];
  /** Whether the client has QEMU's layout of these messages, with a 32-bit count. Unknown until the first transfer. */
  #narrowCount: boolean | undefined;

  constructor(host: MessageDmaHost) {
    this.#host = host;
  }

  transfer(access: "read" | "write", iova: bigint, data: Uint8Array): number | "aborted" {
    if (this.#awaited !== undefined) throw new Error("DMA by message while another one waits for its answer");
    const resets = this.#host.resets();
    const client = this.#host.client();
    if (client === undefined) return "aborted";
    if (this.#narrowCount === undefined && client.mayHaveNarrowCount) {
      const layout = this.#askLayout();
      if (layout !== 0) return layout;
    }
    const chunk = Math.max(1, Math.min(CHUNK, client.maxTransfer));
    for (let done = 0; done < data.length; done += chunk) {
      // A reset during the last chunk has ended the operation.
      if (this.#host.resets() !== resets) return "aborted";
      const part = data.subarray(done, done + chunk);
      const address = iova + BigInt(done);
      const result = access === "read" ? this.#read(address, BigInt(part.length), part) : this.#write(address, part);
      if (result !== 0) return result;
    }
    return 0;
  }

  /**
   * Reports an access by the device that no map allows. A read by message lets QEMU's IOMMU meet the same fault. A
   * write to read-only memory would not fault as a read, so the server writes a zero byte there, which the IOMMU
   * refuses. Both layouts of the message have a zero at that place.
   */
  reportFault(iova: bigint, access: "read" | "write", mapped: boolean): void {
    if (this.#host.client()?.hearsFaults !== true) return;
    if (this.#host.ended() || this.#unawaited.length >= MAX_REPORTS) return;
    const output = this.#output;
    const write = access === "write" && mapped;
    this.#setAccess(iova, 1n);
    output.body.bytes.fill(0, structs.dma_access.size, structs.dma_access.size + 1);
    const id = this.#takeId();
    if (write) output.setHeader(id, Commands.DMA_WRITE.number, structs.TYPE_COMMAND, structs.dma_access.size + 1);
    else output.setHeader(id, Commands.DMA_READ.number, structs.TYPE_COMMAND, structs.dma_access.size);
    // Without waiting: a client that does not read its socket misses the report.
    if (this.#host.send(output, 0) === 0) this.#unawaited.push(id);
  }

  /** Handles a reply. False if it answers no request. */
  takeReply(message: MessageBuffer): boolean {
    const unawaited = this.#unawaited.indexOf(message.id);
    if (unawaited >= 0) {
      this.#unawaited.splice(unawaited, 1);
      return true;
    }
    if (this.#awaited !== message.id) return false;
    this.#awaited = undefined;
    if ((message.flags & structs.FLAG_ERROR) !== 0) {
      this.#outcome = message.error === 0 ? EIO : message.error;
      return true;
    }
    this.#outcome = 0;
    const into = this.#into;
    if (into === undefined) return true;
    const { dma_access, dma_access_qemu } = structs;
    const at = this.#narrowCount === true ? dma_access_qemu.size : dma_access.size;
    // Both layouts have the same size, because QEMU's ends with 4 bytes of padding.
    if (message.size !== HEADER_SIZE + dma_access.size + into.length) {
      this.#outcome = EIO;
      return false;
    }
    into.set(message.body.bytes.subarray(at, at + into.length));
    return true;
  }

  /**
   * Asks for the layout by a read of 2^32 bytes. A client with a 64-bit count refuses it. A client with a 32-bit count
   * sees 0 and agrees. (QEMU 10 and 11 have 32, against their own specification.)
   */
  #askLayout(): number | "aborted" {
    const result = this.#read(0n, 0x1_0000_0000n, undefined);
    if (result === "aborted") return result;
    if (result === ETIMEDOUT) return result;
    this.#narrowCount = result === 0;
    return 0;
  }

  #read(iova: bigint, count: bigint, into: Uint8Array | undefined): number | "aborted" {
    this.#setAccess(iova, count);
    this.#into = into;
    return this.#ask(Commands.DMA_READ.number, structs.dma_access.size);
  }

  #write(iova: bigint, data: Uint8Array): number | "aborted" {
    const { dma_access, dma_access_qemu } = structs;
    const body = this.#output.body;
    this.#into = undefined;
    if (this.#narrowCount === true) {
      dma_access_qemu.fields.address.set(body, iova);
      dma_access_qemu.fields.count.set(body, data.length);
      body.bytes.set(data, dma_access_qemu.size);
    } else {
      this.#setAccess(iova, BigInt(data.length));
      body.bytes.set(data, dma_access.size);
    }
    return this.#ask(Commands.DMA_WRITE.number, dma_access.size + data.length);
  }

  #setAccess(iova: bigint, count: bigint): void {
    const { fields } = structs.dma_access;
    fields.address.set(this.#output.body, iova);
    fields.count.set(this.#output.body, count);
  }

  /** Sends the request in the output and waits for its reply. Returns 0, a positive errno, or `aborted`. */
  #ask(command: number, bodyLength: number): number | "aborted" {
    const id = this.#takeId();
    const resets = this.#host.resets();
    this.#output.setHeader(id, command, structs.TYPE_COMMAND, bodyLength);
    if (this.#host.ended()) return "aborted";
    if (this.#host.send(this.#output, ANSWER_TIMEOUT_MS) < 0) {
      this.#host.end();
      return "aborted";
    }
    this.#awaited = id;
    this.#outcome = undefined;
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    for (;;) {
      this.#host.receive(SPIN_MICROSECONDS, SLICE_MS);
      const outcome = this.#outcome as number | undefined;
      if (outcome !== undefined) return outcome;
      const reset = this.#host.resets() !== resets;
      const late = performance.now() > deadline;
      if (reset || late || this.#host.ended()) {
        this.#awaited = undefined;
        this.#unawaited.push(id);
        if (this.#unawaited.length > MAX_UNAWAITED) this.#host.end();
        return late && !reset && !this.#host.ended() ? ETIMEDOUT : "aborted";
      }
    }
  }

  #takeId(): number {
    do this.#nextId = (this.#nextId + 1) & 0xffff;
    while (this.#unawaited.includes(this.#nextId));
    return this.#nextId;
  }
}
