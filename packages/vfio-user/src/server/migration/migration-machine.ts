import { constants } from "node:os";
import {
  VFIO_DEVICE_STATE_ERROR as ERROR,
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";
import type { ModelMigration } from "../device-model";
import type { IrqTable } from "../session/irq-table";
import { DataQueue } from "./data-queue";
import { type DeviceIdentity, encodeFrame, FrameKind, FrameReader } from "./frames";
import { packState, unpackState } from "./server-state";
import { isSaving, isStopped, pathOf } from "./states";

const { EINVAL, EIO } = constants.errno;

/** Runs a callback of the model. False if it throws. */
type Guard = (during: string, callback: () => void) => boolean;

/**
 * The migration states of one device (specification, "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE") and its data. While the
 * device is stopped the server gives it no step, so it makes no DMA, and keeps its interrupts back.
 */
export class MigrationMachine {
  readonly #model: ModelMigration;
  readonly #identity: DeviceIdentity;
  readonly #irqs: IrqTable;
  readonly #guard: Guard;
  #state: number = RUNNING;
  /** The data of the saving group's states. */
  #output: DataQueue | undefined;
  /** How many frames went ahead of the state in this session. */
  #sentAhead = 0;
  /** The data of RESUMING. */
  #input: FrameReader | undefined;

  constructor(name: string, model: ModelMigration, irqs: IrqTable, guard: Guard) {
    this.#model = model;
    this.#identity = { name, version: model.version };
    this.#irqs = irqs;
    this.#guard = guard;
  }

  get state(): number {
    return this.#state;
  }

  get stopped(): boolean {
    return isStopped(this.#state);
  }

  /**
   * Goes to a state, by all states between. Returns 0 or a positive errno. A way that ends early ends in the last state
   * that was reached, or in ERROR.
   */
  go(target: number): number {
    const path = pathOf(this.#state, target);
    if (path === undefined) return EINVAL;
    for (const next of path) {
      const error = this.#take(next);
      if (error !== 0) return error;
    }
    return 0;
  }

  /** Reads data of the saving group. Returns how many bytes (fewer than asked for: there are no more), or `-errno`. */
  read(into: Uint8Array): number {
    const output = this.#output;
    if (output === undefined) return -EINVAL;
    let done = 0;
    while ((done += output.read(into.subarray(done))) < into.length) {
      if (this.#state !== PRE_COPY) break;
      const more = this.#saveAhead(output);
      if (more === undefined) return -EIO;
      if (!more) break;
    }
    return done;
  }

  /** Takes data for RESUMING. Returns 0 or a positive errno. */
  write(bytes: Uint8Array): number {
    return this.#input?.write(bytes) === true ? 0 : EINVAL;
  }

  /** The device was reset. It runs again, from every state, and its data are gone. */
  reset(): void {
    this.#enter(RUNNING);
  }

  /** Takes one arc. Returns 0 or a positive errno. */
  #take(next: number): number {
    const from = this.#state;
    if (from === RESUMING) {
      const error = this.#resume();
      if (error !== 0) return error;
    }
    if (next === PRE_COPY) {
      this.#output = new DataQueue();
      this.#sentAhead = 0;
      this.#output.push(encodeFrame(this.#identity, FrameKind.identity, new Uint8Array(0)));
    }
    if (next === STOP_COPY) {
      const frame = this.#saveState(from === PRE_COPY ? this.#sentAhead : 0);
      if (frame === undefined) return EIO;
      this.#output ??= new DataQueue();
      this.#output.push(frame);
    }
    this.#enter(next);
    return 0;
  }

  #enter(next: number): void {
    this.#state = next;
    if (!isSaving(next)) this.#output = undefined;
    this.#input = next === RESUMING ? new FrameReader(this.#identity) : undefined;
    this.#irqs.hold(this.stopped);
  }

  /** "Complete processing of the migration data." Returns 0 or a positive errno. */
  #resume(): number {
    const input = this.#input;
    const arrived = input?.arrived;
    // Cut short: the device is as it was, and the rest may still come.
    if (arrived === undefined && input?.invalid !== true) return EINVAL;
    const unpacked = arrived === undefined ? undefined : unpackState(arrived.state);
    const loaded =
      arrived !== undefined &&
      unpacked !== undefined &&
      this.#guard("load", () => this.#model.load(unpacked.model, arrived.ahead));
    if (!loaded) {
      this.#enter(ERROR);
      return EINVAL;
    }
    this.#irqs.pend(unpacked.pending);
    return 0;
  }

  #saveState(ahead: number): Uint8Array | undefined {
    let frame: Uint8Array | undefined;
    this.#guard("save", () => {
      const content = packState({ pending: this.#irqs.pendingVectors(), model: this.#model.save(ahead) });
      frame = encodeFrame(this.#identity, FrameKind.state, content, ahead);
    });
    return frame;
  }

  /** Whether the running device has more to send; undefined if it failed. */
  #saveAhead(output: DataQueue): boolean | undefined {
    let content: Uint8Array | undefined;
    if (!this.#guard("saveAhead", () => (content = this.#model.saveAhead?.(this.#sentAhead)))) return undefined;
    if (content === undefined) return false;
    output.push(encodeFrame(this.#identity, FrameKind.ahead, content));
    this.#sentAhead += 1;
    return true;
  }
}
