import type { DmaSpace } from "@vfio-selftests/vfio-user";
import { Command } from "../../config-space/index";
import type { StateReader, StateWriter } from "../../migration/state-bytes";
import type { Interrupts } from "../interrupts";
import { type Bar0, Chancmd, Chanctrl, ChannelStatus, MAXIMUM_TRANSFER_BYTES } from "../registers/bar0";
import { ChannelError } from "../registers/channel-error";
import type { Config } from "../registers/config-space";
import { Chain } from "./chain";
import { CompletionWriter } from "./completion-writer";
import {
  Control,
  decodeDescriptor,
  type Descriptor,
  DESCRIPTOR_BYTES,
  descriptorError,
  encodeDescriptor,
  NEXT_OFFSET,
} from "./descriptor";
import { ErrorLog } from "./error-log";
import { startTransfer, type Transfer, transferScratch } from "./transfer";

/** How long one `run` may take before the server looks for messages again, in milliseconds. */
const SLICE_MS = 0.1;
/** Bytes moved between two looks at the clock: some 50 us of copying, faster in one piece than in two (measured). */
const PIECE_BYTES = 0x10_0000;

const DESCRIPTOR_ALIGNMENT = 0x3fn;

/** The descriptor being executed. */
interface Execution {
  readonly address: bigint;
  readonly descriptor: Descriptor;
  /** Undefined for a null descriptor. */
  readonly transfer: Transfer | undefined;
}

/**
 * The DMA channel: commands, descriptor fetch, execution, completion and errors. Register writes only change its state;
 * `run` does the work. During a memory access the server may serve other register writes (see `DeviceModel`). After
 * each access, `#generation` tells whether one of them dropped the work.
 */
export class Channel {
  readonly #chain = new Chain();
  readonly #errors: ErrorLog;
  readonly #completion: CompletionWriter;
  #status: number = ChannelStatus.halted;
  #current: Execution | undefined;
  #suspendPending = false;
  #generation = 0;

  readonly #descriptorBytes = new Uint8Array(DESCRIPTOR_BYTES);
  readonly #descriptorView = new DataView(this.#descriptorBytes.buffer);
  readonly #scratch = transferScratch();

  readonly #bar0: Bar0;
  readonly #config: Config;
  readonly #interrupts: Interrupts;
  readonly #now: () => number;

  constructor(bar0: Bar0, config: Config, interrupts: Interrupts, now: () => number) {
    this.#bar0 = bar0;
    this.#config = config;
    this.#interrupts = interrupts;
    this.#now = now;
    this.#errors = new ErrorLog(bar0, config);
    this.#completion = new CompletionWriter(bar0);
  }

  /** Software wrote CHANCMD. */
  command(written: number): void {
    if (written === 0) return;
    if (written === Chancmd.start) this.#start();
    else if (written === Chancmd.append) this.#append();
    else if (written === Chancmd.suspend) this.#suspend();
    else if (written === Chancmd.abort) this.abort();
    else if (written === Chancmd.resume) this.#resume();
    else if (written === Chancmd.reset) this.reset();
    else this.#refuseCommand();
  }

  /**
   * Software wrote CHAINADDR. That begins a new chain, of which nothing is handed over yet, and drops a descriptor
   * under way.
   */
  chainAddressWritten(): void {
    const { CHAINADDR, DMACOUNT } = this.#bar0.registers;
    this.#drop();
    this.#chain.begin(CHAINADDR.value);
    this.#chain.submission = "count";
    DMACOUNT.value = 0;
    if (this.#status === ChannelStatus.active) this.#settle();
  }

  /** Software wrote DMACOUNT, which hands descriptors over. It also makes a suspended or halted channel go on. */
  countWritten(): void {
    this.#chain.submission = "count";
    if (this.#moreToDo() && !this.#blocked()) this.#status = ChannelStatus.active;
  }

  completionAddressWritten(): void {
    this.#completion.addressSet = true;
  }

  /** Halts at once, without an error or an interrupt. */
  abort(): void {
    this.#drop();
    this.#endSuspend();
    this.#status = ChannelStatus.halted;
  }

  /**
   * As after power-on, except for the error registers and the channel's ownership, which CHANCMD's reset leaves alone.
   */
  reset(): void {
    const { CHANCTRL, CHAINADDR, CHANCMP, DMACOUNT } = this.#bar0.registers;
    this.abort();
    CHANCTRL.value &= Chanctrl.inUse;
    CHAINADDR.value = 0n;
    CHANCMP.value = 0n;
    DMACOUNT.value = 0;
    this.#completion.addressSet = false;
    this.#chain.submission = "count";
    this.#chain.begin(0n);
  }

  /** The descriptor under way goes along with the bytes that it still has to move. */
  save(state: StateWriter): void {
    state.u32(this.#status).flag(this.#suspendPending).flag(this.#completion.addressSet);
    this.#chain.save(state);
    const current = this.#current;
    state.flag(current !== undefined);
    if (current === undefined) return;
    state.u64(current.address).u32(current.transfer?.remaining ?? 0);
    state.bytes(encodeDescriptor(current.descriptor));
  }

  load(state: StateReader): void {
    this.#drop();
    this.#status = state.u32(ChannelStatus.halted);
    this.#suspendPending = state.flag();
    this.#completion.addressSet = state.flag();
    this.#chain.load(state);
    if (!state.flag()) return;
    const [address, remaining] = [state.u64(), state.u32(MAXIMUM_TRANSFER_BYTES)];
    const bytes = state.bytes(DESCRIPTOR_BYTES);
    const descriptor = decodeDescriptor(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
    if (descriptorError(descriptor, MAXIMUM_TRANSFER_BYTES) !== 0 || remaining > descriptor.size) {
      throw new RangeError("device state: the descriptor under way is none that the channel runs");
    }
    this.#current = { address, descriptor, transfer: this.#transferOf(descriptor, remaining) };
  }

  /** Brings CHANSTS and CDAR up to date. */
  refresh(): void {
    const { CHANSTS, CDAR } = this.#bar0.registers;
    CHANSTS.value = this.#statusWord(this.#status);
    CDAR.value = this.#current?.address ?? 0n;
  }

  /** Does a slice of the work. True while there is more. */
  run(dma: DmaSpace): boolean {
    if (!this.#active()) return false;
    const end = this.#now() + SLICE_MS;
    do {
      const current = this.#current ?? this.#fetch(dma);
      if (current === undefined || !this.#execute(dma, current)) break;
    } while (this.#active() && this.#now() < end);
    return this.#active();
  }

  #active(): boolean {
    return this.#status === ChannelStatus.active;
  }

  #start(): void {
    if (this.#blocked()) return;
    this.chainAddressWritten();
    this.#chain.submission = "chain";
    if (this.#moreToDo()) this.#status = ChannelStatus.active;
  }

  #append(): void {
    if (this.#chain.submission !== "chain" || this.#status === ChannelStatus.halted) return;
    // Before the first descriptor there is no next pointer to read again.
    if (this.#chain.nextIsFromRegister) return;
    this.#chain.appendPending = true;
    if (this.#status === ChannelStatus.done) this.#status = ChannelStatus.active;
  }

  /** Takes effect when the descriptor under way is done. Until then CHANCMD shows the command. */
  #suspend(): void {
    if (this.#status === ChannelStatus.done) this.#status = ChannelStatus.suspended;
    if (this.#status !== ChannelStatus.active) return;
    this.#suspendPending = true;
    this.#bar0.registers.CHANCMD.value = Chancmd.suspend;
  }

  #resume(): void {
    this.#endSuspend();
    if (this.#status !== ChannelStatus.suspended) return;
    this.#status = this.#moreToDo() ? ChannelStatus.active : ChannelStatus.done;
  }

  #refuseCommand(): void {
    if (!this.#errors.record(ChannelError.channelCommand)) return;
    this.abort();
    if (this.#enabled(Chanctrl.errorInterruptEnable)) this.#interrupts.raise();
  }

  /** The next descriptor; undefined if the chain has ended, failed or was dropped. */
  #fetch(dma: DmaSpace): Execution | undefined {
    const chain = this.#chain;
    if (chain.submission === "chain" && chain.next === 0n && !this.#followAppended(dma)) return undefined;
    const address = chain.next;
    const error = chain.nextIsFromRegister ? ChannelError.chainAddressValue : ChannelError.nextDescriptorAddress;
    if ((address & DESCRIPTOR_ALIGNMENT) !== 0n || !this.#busMaster()) {
      this.#halt(dma, error, address);
      return undefined;
    }
    const generation = this.#generation;
    const fault = dma.read(address, this.#descriptorBytes);
    if (generation !== this.#generation || fault?.reason === "aborted") return undefined;
    if (fault !== undefined) {
      this.#halt(dma, fault.reason === "failed" ? ChannelError.descriptor : error, address);
      return undefined;
    }
    return this.#begin(dma, address, decodeDescriptor(this.#descriptorView));
  }

  #begin(dma: DmaSpace, address: bigint, descriptor: Descriptor): Execution | undefined {
    const error = descriptorError(descriptor, MAXIMUM_TRANSFER_BYTES);
    if (error !== 0) {
      this.#fail(dma, error, address, descriptor);
      return undefined;
    }
    this.#current = { address, descriptor, transfer: this.#transferOf(descriptor, descriptor.size) };
    return this.#current;
  }

  /** Undefined for a null descriptor. */
  #transferOf(descriptor: Descriptor, remaining: number): Transfer | undefined {
    if ((descriptor.control & Control.null) !== 0) return undefined;
    return startTransfer(descriptor, this.#scratch, remaining);
  }

  /**
   * At the end of a chain after APPEND, reads the last descriptor's next pointer again. False if there is nothing new.
   */
  #followAppended(dma: DmaSpace): boolean {
    const pointer = this.#descriptorBytes.subarray(0, 8);
    const generation = this.#generation;
    this.#chain.appendPending = false;
    const fault = dma.read(this.#chain.last + BigInt(NEXT_OFFSET), pointer);
    if (generation !== this.#generation || fault?.reason === "aborted") return false;
    if (fault !== undefined) this.#halt(dma, ChannelError.nextDescriptorAddress, this.#chain.last);
    else this.#chain.next = this.#descriptorView.getBigUint64(0, true);
    if (this.#status === ChannelStatus.active) this.#settle();
    return this.#status === ChannelStatus.active && this.#chain.next !== 0n;
  }

  /** Moves a piece of the current descriptor. False if it was dropped or has failed. */
  #execute(dma: DmaSpace, { address, descriptor, transfer }: Execution): boolean {
    if (transfer !== undefined) {
      const generation = this.#generation;
      const progress = transfer.advance(dma, PIECE_BYTES);
      if (generation !== this.#generation) return false;
      if (progress.error !== undefined) {
        this.#fail(dma, progress.error, address, descriptor);
        return false;
      }
      if (progress.bytes === 0) return false;
    }
    if (transfer === undefined || transfer.remaining === 0) this.#complete(dma, address, descriptor);
    return true;
  }

  #complete(dma: DmaSpace, address: bigint, descriptor: Descriptor): void {
    this.#current = undefined;
    this.#chain.pass(address, descriptor.next);
    if ((descriptor.control & Control.completionWrite) !== 0) {
      const generation = this.#generation;
      const written = this.#writeCompletion(dma, this.#statusAfter());
      if (generation !== this.#generation) return;
      if (!written && this.#halt(dma, ChannelError.completionAddress, address)) return;
    }
    this.#settle();
    if ((descriptor.control & Control.interrupt) !== 0) this.#interrupts.raise();
  }

  /** Handles a descriptor that cannot run: the channel halts, or skips it when the error is masked. */
  #fail(dma: DmaSpace, error: number, address: bigint, descriptor: Descriptor): void {
    if (this.#halt(dma, error, address)) return;
    this.#drop();
    this.#chain.pass(address, descriptor.next);
    this.#settle();
  }

  /**
   * Logs the error, halts with the failing descriptor's address in CHANSTS, and notifies software as CHANCTRL says.
   * False if the error is masked; then it does nothing. After a masked fetch error there is no descriptor to go on
   * with, so the channel halts silently.
   */
  #halt(dma: DmaSpace, error: number, address: bigint): boolean {
    const isFetchError = FETCH_ERRORS.includes(error);
    const logged = this.#errors.record(error);
    if (!logged && !isFetchError) return false;
    this.abort();
    if (!logged) return true;
    this.#chain.last = address;
    if (error !== ChannelError.completionAddress && this.#enabled(Chanctrl.errorCompletionEnable)) {
      const generation = this.#generation;
      const written = this.#writeCompletion(dma, ChannelStatus.halted);
      if (generation !== this.#generation) return true;
      if (!written) this.#errors.record(ChannelError.completionAddress);
    }
    if (this.#enabled(Chanctrl.errorInterruptEnable)) this.#interrupts.raise();
    return true;
  }

  #writeCompletion(dma: DmaSpace, status: number): boolean {
    return this.#busMaster() && this.#completion.write(dma, this.#statusWord(status));
  }

  #statusWord(status: number): bigint {
    return (this.#chain.last & ~DESCRIPTOR_ALIGNMENT) | BigInt(status);
  }

  #moreToDo(): boolean {
    return this.#chain.hasMore(this.#bar0.registers.DMACOUNT.value);
  }

  /** The status between two descriptors. */
  #statusAfter(): number {
    if (this.#suspendPending) return ChannelStatus.suspended;
    return this.#moreToDo() ? ChannelStatus.active : ChannelStatus.done;
  }

  #settle(): void {
    this.#status = this.#statusAfter();
    if (this.#suspendPending) this.#endSuspend();
  }

  #endSuspend(): void {
    this.#suspendPending = false;
    this.#bar0.registers.CHANCMD.value = 0;
  }

  #drop(): void {
    this.#current = undefined;
    this.#generation++;
  }

  /** An error halts the channel until software has cleared the error. */
  #blocked(): boolean {
    return this.#status === ChannelStatus.halted && this.#errors.pending;
  }

  #enabled(bit: number): boolean {
    return (this.#bar0.registers.CHANCTRL.value & bit) !== 0;
  }

  #busMaster(): boolean {
    return (this.#config.registers.COMMAND.value & Command.busMaster) !== 0;
  }
}

/** Errors after which there is no descriptor to go on with. */
const FETCH_ERRORS: readonly number[] = [
  ChannelError.chainAddressValue,
  ChannelError.nextDescriptorAddress,
  ChannelError.descriptor,
];
