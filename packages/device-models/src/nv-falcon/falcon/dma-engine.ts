import type { DmaSpace } from "@vfio-selftests/vfio-user";
import { Dmactl, type FalconRegisters, FbifCtl, Target, Transcfg } from "../registers/bar0";
import type { Transfer } from "./transfer";
import type { WordMemory } from "./word-memory";

/** Transfers that may wait: the status register counts them in three bits. */
const QUEUE_LENGTH = 7;
/** What a read brings that came back without data. */
const NO_DATA = 0xff;

export interface FalconMemories {
  readonly imem: WordMemory;
  readonly dmem: WordMemory;
}

/** What the engine needs of the device around it. */
export interface BusAccess {
  /** Whether the device may send requests (PCI COMMAND). */
  busMaster(): boolean;
  /** A read came back as unsupported. */
  masterAbort(): void;
}

/**
 * The falcon's DMA engine: a queue of transfers, one under way. It has no register for errors. A transfer that FBIF refuses
 * ends and moves nothing. A read that the IOMMU refuses brings all ones, and a refused write is lost.
 */
export class DmaEngine {
  readonly #queue: Transfer[] = [];
  readonly #registers: FalconRegisters;
  readonly #memories: FalconMemories;
  readonly #bus: BusAccess;
  readonly #bounce = new Uint8Array(256);

  constructor(registers: FalconRegisters, memories: FalconMemories, bus: BusAccess) {
    this.#registers = registers;
    this.#memories = memories;
    this.#bus = bus;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  get full(): boolean {
    return this.#queue.length >= QUEUE_LENGTH;
  }

  /** Transfers in the queue, out of DMEM (`store`) or into it. */
  waiting(store: boolean): number {
    return this.#queue.filter((transfer) => !transfer.imem && transfer.store === store).length;
  }

  /** Takes a transfer. A full queue loses it. */
  request(transfer: Transfer): void {
    if (!this.full) this.#queue.push(transfer);
  }

  /** Drops all transfers. One under way touches nothing more of the falcon. */
  drop(): void {
    this.#queue.length = 0;
  }

  /** Executes the first transfer. True if there is another to do at once. */
  run(dma: DmaSpace): boolean {
    const [transfer] = this.#queue;
    if (transfer === undefined) return false;
    const target = this.#target(transfer);
    if (isSystem(target) && !this.#bus.busMaster()) return false;
    const ended = isSystem(target) ? this.#withSystem(dma, transfer) : this.#withoutSystem(transfer, target);
    // A reset that came during the access has dropped the transfer, and perhaps a new one is there.
    if (ended && this.#queue[0] === transfer) this.#queue.shift();
    return this.#queue.length > 0;
  }

  /** Where FBIF sends a transfer; undefined: nowhere. */
  #target({ context }: Transfer): number | undefined {
    const { DMACTL, FBIF_CTL, FBIF_TRANSCFG } = this.#registers.registers;
    const config = FBIF_TRANSCFG[context]?.value ?? 0;
    const allowed = FbifCtl.allowPhysical | FbifCtl.allowFullPhysical;
    const hasContext = (DMACTL.value & Dmactl.requireContext) !== 0;
    if (hasContext || (config & Transcfg.physical) === 0 || (FBIF_CTL.value & allowed) !== allowed) return undefined;
    return config & Transcfg.target;
  }

  /** False: the access was aborted, and the transfer is no more. */
  #withSystem(dma: DmaSpace, transfer: Transfer): boolean {
    const local = this.#local(transfer);
    if (transfer.store) return dma.write(transfer.address, local)?.reason !== "aborted";
    const piece = this.#bounce.subarray(0, transfer.bytes);
    const fault = dma.read(transfer.address, piece);
    if (fault?.reason === "aborted" || this.#queue[0] !== transfer) return false;
    if (fault !== undefined) {
      piece.fill(NO_DATA);
      this.#bus.masterAbort();
    }
    local.set(piece);
    return true;
  }

  /** The GPU's own memory is not modelled: it reads 0 and forgets. */
  #withoutSystem(transfer: Transfer, target: number | undefined): boolean {
    if (target === Target.localMemory && !transfer.store) this.#local(transfer).fill(0);
    return true;
  }

  #local({ imem, local, bytes }: Transfer): Uint8Array {
    const { imem: code, dmem: data } = this.#memories;
    return (imem ? code : data).slice(local, bytes);
  }
}

function isSystem(target: number | undefined): boolean {
  return target === Target.coherentSystem || target === Target.noncoherentSystem;
}
