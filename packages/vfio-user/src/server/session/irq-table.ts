import { readlinkSync } from "node:fs";
import { constants } from "node:os";
import {
  VFIO_IRQ_SET_ACTION_MASK,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_ACTION_UNMASK,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import type { ModelIrq } from "../device-model";
import type { PendingVector } from "../migration/server-state";

const { EINVAL, ENOTTY } = constants.errno;

/** poll(2). */
const POLLOUT = 4;

const DATA_MASK = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
const ACTION_MASK = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER;

/** A request to set interrupts, as the message has it. */
export interface IrqSet {
  readonly flags: number;
  readonly index: number;
  readonly start: number;
  readonly count: number;
  /** The bytes behind the fields: DATA_BOOL's booleans. The table ignores any further bytes. */
  readonly data: Uint8Array;
  /** The table owns them when the request succeeds. Otherwise the caller keeps them. */
  readonly fds: readonly number[];
}

class Vector {
  /** -1: none. */
  trigger = -1;
  /** Signalled when the vector becomes masked or unmasked. */
  maskEvent = -1;
  unmaskEvent = -1;
  masked = false;
  /** Raised while masked, or while the device was stopped. Unmasking, or running on, delivers it. */
  pending = false;
}

/** The interrupt vectors of a device: their eventfds and their mask state. */
export class IrqTable {
  readonly #irqs: ReadonlyMap<number, ModelIrq>;
  /** Made at first use, because MSI-X may have 2048. */
  readonly #vectors = new Map<number, Vector[]>();
  #held = false;

  constructor(irqs: ReadonlyMap<number, ModelIrq>) {
    this.#irqs = irqs;
  }

  /** VFIO_USER_DEVICE_SET_IRQS. Returns 0 or a positive errno. A refused request changes nothing. */
  set(request: IrqSet): number {
    const { flags, index, start, count, data, fds } = request;
    const irq = this.#irqs.get(index);
    const total = irq?.count ?? 0;
    if (irq === undefined || total === 0 || start > total || count > total - start) return EINVAL;
    const dataType = flags & DATA_MASK;
    const action = flags & ACTION_MASK;
    if ((flags & ~(DATA_MASK | ACTION_MASK)) !== 0) return EINVAL;
    if (dataType !== VFIO_IRQ_SET_DATA_EVENTFD && fds.length > 0) return EINVAL;
    const masking = action === VFIO_IRQ_SET_ACTION_MASK || action === VFIO_IRQ_SET_ACTION_UNMASK;
    if (masking && irq.maskable !== true) return ENOTTY; // as vfio_pci_set_irqs_ioctl does for MSI
    if (count === 0) {
      if (start !== 0 || dataType !== VFIO_IRQ_SET_DATA_NONE || action !== VFIO_IRQ_SET_ACTION_TRIGGER) return EINVAL;
      this.#disable(index);
      return 0;
    }
    switch (dataType) {
      case VFIO_IRQ_SET_DATA_NONE:
        return this.#act(index, action, start, count, undefined);
      case VFIO_IRQ_SET_DATA_BOOL:
        if (data.length < count) return EINVAL;
        return this.#act(index, action, start, count, data);
      case VFIO_IRQ_SET_DATA_EVENTFD:
        // The kernel's structure has the descriptors' numbers as data. Here they come beside the message.
        if (fds.length > 0 && fds.length !== count) return EINVAL;
        if (!fds.every(isEventfd)) return EINVAL; // as eventfd_ctx_fdget does
        return this.#connect(index, action, start, count, fds);
      default:
        return EINVAL;
    }
  }

  /** The device raises an interrupt. */
  raise(index: number, vectorNumber: number): "raised" | "pending" | "unconnected" {
    const vector = this.#vectors.get(index)?.[vectorNumber];
    if (vector === undefined) return "unconnected";
    if (!vector.masked && vector.trigger < 0) return "unconnected";
    if (vector.masked || this.#held) {
      vector.pending = true;
      return "pending";
    }
    signal(vector.trigger);
    if (this.#irqs.get(index)?.autoMasked === true) mask(vector);
    return "raised";
  }

  connected(index: number, vector: number): boolean {
    return (this.#vectors.get(index)?.[vector]?.trigger ?? -1) >= 0;
  }

  /** The device was reset, which forgets what it had raised. Eventfds and masks are the client's, and stay. */
  forgetPending(): void {
    for (const vectors of this.#vectors.values()) for (const vector of vectors) vector.pending = false;
  }

  /** Keeps every interrupt back, as a stopped device must, or delivers what was kept. */
  hold(held: boolean): void {
    this.#held = held;
    if (held) return;
    for (const [index, vectors] of this.#vectors) {
      for (const [number, vector] of vectors.entries()) {
        if (!vector.pending || vector.masked) continue;
        vector.pending = false;
        this.raise(index, number);
      }
    }
  }

  /** What the device raised and the client has not got. */
  pendingVectors(): PendingVector[] {
    return [...this.#vectors].flatMap(([index, vectors]) =>
      vectors.flatMap(({ pending }, vector) => (pending ? [{ index, vector }] : [])),
    );
  }

  /** Takes over what another server's client had not got. A vector without an eventfd delivers it when it gets one. */
  pend(vectors: readonly PendingVector[]): void {
    for (const { index, vector: number } of vectors) {
      const vector = this.#of(index)[number];
      if (vector === undefined) continue;
      vector.pending = true;
      if (vector.trigger < 0) vector.masked = true;
    }
  }

  /** Disconnects everything. */
  clear(): void {
    for (const index of this.#irqs.keys()) this.#disable(index);
  }

  #of(index: number): Vector[] {
    let vectors = this.#vectors.get(index);
    if (vectors === undefined) {
      vectors = Array.from({ length: this.#irqs.get(index)?.count ?? 0 }, () => new Vector());
      this.#vectors.set(index, vectors);
    }
    return vectors;
  }

  #act(index: number, action: number, start: number, count: number, chosen: Uint8Array | undefined): number {
    const perform = this.#actionOf(index, action);
    const vectors = this.#vectors.get(index);
    // Without a vector enabled there is none to act on, as vfio_pci_set_msi_trigger and its kin say.
    if (perform === undefined || vectors === undefined) return EINVAL;
    for (const [i, vector] of vectors.slice(start, start + count).entries()) {
      if (chosen === undefined || chosen[i] !== 0) perform(vector, start + i);
    }
    return 0;
  }

  #actionOf(index: number, action: number): ((vector: Vector, number: number) => void) | undefined {
    switch (action) {
      case VFIO_IRQ_SET_ACTION_TRIGGER:
        // A loop-back test of the client's: it acts as if the device had raised the interrupt.
        return (_vector, number) => void this.raise(index, number);
      case VFIO_IRQ_SET_ACTION_MASK:
        return mask;
      case VFIO_IRQ_SET_ACTION_UNMASK:
        return (vector, number) => this.#unmask(index, vector, number);
      default:
        return undefined;
    }
  }

  #unmask(index: number, vector: Vector, number: number): void {
    if (!vector.masked) return;
    vector.masked = false;
    if (vector.unmaskEvent >= 0) signal(vector.unmaskEvent);
    if (!vector.pending) return;
    vector.pending = false;
    this.raise(index, number);
  }

  #connect(index: number, action: number, start: number, count: number, fds: readonly number[]): number {
    const slot = SLOTS[action];
    if (slot === undefined) return EINVAL;
    const vectors = this.#of(index);
    for (const [i, vector] of vectors.slice(start, start + count).entries()) {
      const had = vector[slot] >= 0;
      if (had) native.close(vector[slot]);
      vector[slot] = fds[i] ?? -1;
      if (slot !== "trigger") continue;
      if (vector.trigger >= 0) this.#unmask(index, vector, start + i);
      // QEMU masks a vector by taking its eventfd away. As with hardware, an interrupt raised meanwhile stays pending.
      else if (had) vector.masked = true;
    }
    return 0;
  }

  #disable(index: number): void {
    for (const vector of this.#vectors.get(index) ?? []) {
      for (const fd of [vector.trigger, vector.maskEvent, vector.unmaskEvent]) if (fd >= 0) native.close(fd);
    }
    this.#vectors.delete(index);
  }
}

/** The field that holds an action's eventfds. */
const SLOTS: Readonly<Record<number, "trigger" | "maskEvent" | "unmaskEvent">> = {
  [VFIO_IRQ_SET_ACTION_TRIGGER]: "trigger",
  [VFIO_IRQ_SET_ACTION_MASK]: "maskEvent",
  [VFIO_IRQ_SET_ACTION_UNMASK]: "unmaskEvent",
};

function mask(vector: Vector): void {
  if (vector.masked) return;
  vector.masked = true;
  if (vector.maskEvent >= 0) signal(vector.maskEvent);
}

/**
 * A write to any other file could wait for the client: a terminal that is ready for one byte is not ready for eight.
 * Without /proc, every descriptor passes.
 */
function isEventfd(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === "anon_inode:[eventfd]";
  } catch {
    return true;
  }
}

const ONE = new Uint8Array(new BigUint64Array([1n]).buffer);

/**
 * Adds 1 to an eventfd. It leaves a full counter alone: that says already that there was an interrupt, and the write
 * would block on a descriptor that the client made blocking.
 */
function signal(fd: number): void {
  if (native.pollBlocking(fd, POLLOUT, 0) > 0) native.write(fd, ONE);
}
