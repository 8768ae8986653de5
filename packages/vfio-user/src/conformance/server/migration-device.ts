import { demand, Departure, NotApplicable } from "../check";
import { join, u32, u32At, u64At } from "../wire/bytes";
import { type Conversation, describe, type Frame } from "../wire/conversation";
import { GET, MIG_DEVICE_STATE, MIGRATION, PROBE, SET } from "../wire/features";
import { isError } from "../wire/header-flags";
import { feature } from "../wire/messages";
import { requireSuccess } from "./expectations";
import type { ServerUnderTest } from "./server-under-test";

const PRE_COPY_FLAG = 4n;

/** enum vfio_device_mig_state, as far as vfio-user uses it. */
export const State = { error: 0, stop: 1, running: 2, stopCopy: 3, resuming: 4, preCopy: 6 } as const;

/** Bytes of one read of a device's data, and more reads than any device has to give. */
const CHUNK = 4096;
const MOST_READS = 65_536;

/** A device that can migrate, on a connection of its own. */
export class MigratingDevice {
  readonly conversation: Conversation;

  /** Throws NotApplicable if the device cannot migrate, or not be reset. */
  constructor(server: ServerUnderTest) {
    const { conversation, facts } = server.device();
    this.conversation = conversation;
    if (isError(conversation.ask("DEVICE_FEATURE", feature(MIGRATION | GET | PROBE)))) {
      throw new NotApplicable("the device cannot migrate", "none: the feature is optional");
    }
    facts.requireResettable();
  }

  /** The states that the device has. */
  states(): readonly number[] {
    const reply = this.conversation.ask("DEVICE_FEATURE", feature(MIGRATION | GET, undefined, 16));
    requireSuccess(reply, 16);
    const { stop, running, stopCopy, resuming, preCopy } = State;
    const all = [stop, running, stopCopy, resuming];
    return (u64At(reply.body, 8) & PRE_COPY_FLAG) === 0n ? all : [...all, preCopy];
  }

  state(): number {
    const reply = this.conversation.ask("DEVICE_FEATURE", feature(MIG_DEVICE_STATE | GET, undefined, 16));
    requireSuccess(reply, 16);
    return u32At(reply.body, 8);
  }

  set(state: number): Frame {
    return this.conversation.ask("DEVICE_FEATURE", feature(MIG_DEVICE_STATE | SET, u32(state, 0)));
  }

  go(...states: readonly number[]): void {
    for (const state of states) requireSuccess(this.set(state), 16);
  }

  /** RUNNING again, by a reset. */
  reset(): void {
    requireSuccess(this.conversation.ask("DEVICE_RESET"), 0);
  }

  /** RUNNING again, by a reset where there is no other way. */
  restart(): void {
    if (isError(this.set(State.running))) this.reset();
  }

  /** Lets the device run, if the server can still be asked for it. */
  leave(): void {
    try {
      this.restart();
    } catch (error) {
      if (!(error instanceof Departure)) throw error;
    }
  }

  read(size: number, argsz = 8 + size): Frame {
    return this.conversation.ask("MIG_DATA_READ", u32(argsz, size));
  }

  write(data: Uint8Array): Frame {
    return this.conversation.ask("MIG_DATA_WRITE", join(u32(8 + data.length, data.length), data));
  }

  /** The data of STOP_COPY, to the read that brought fewer than it asked for. */
  saved(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let read = 0; read < MOST_READS; read += 1) {
      const reply = this.read(CHUNK);
      demand(!isError(reply) && reply.body.length >= 8, "migration data", describe(reply));
      const size = u32At(reply.body, 4);
      parts.push(reply.body.subarray(8, 8 + size));
      if (size < CHUNK) return join(...parts);
    }
    throw new NotApplicable(`the device has more than ${MOST_READS * CHUNK} bytes`, "serve a smaller device");
  }

  restore(data: Uint8Array): void {
    for (let at = 0; at < data.length; at += CHUNK) requireSuccess(this.write(data.subarray(at, at + CHUNK)), 0);
  }
}
