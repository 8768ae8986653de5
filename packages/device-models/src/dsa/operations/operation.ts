import type { Outcome } from "../descriptors/completion-record";
import type { Descriptor } from "../descriptors/descriptor";
import type { DeviceMemory } from "../descriptors/device-memory";
import { Flag } from "../descriptors/flags";
import type { Submission } from "../descriptors/submission";

/** The meaning of the 32-bit field at byte 32. */
export type SizeField = "none" | "transfer size" | "descriptor count";

/** A field, by its first and its last byte. */
export type ByteRange = readonly [first: number, last: number];

/**
 * One operation of the DSA architecture (specification 341204, tables 5-3 to 5-5 and section 8.3): what its descriptors
 * may say, and what it does.
 */
export interface Operation {
  readonly code: number;
  /** The abbreviation in the Linux header linux/idxd.h. */
  readonly name: string;
  /** Flags that it may use besides those of every operation. */
  readonly flags: number;
  /** Flags that must be set. */
  readonly required: number;
  /** Bytes that must be zero. */
  readonly reserved: readonly ByteRange[];
  readonly size: SizeField;
  /** False: a batch may not contain it. Default true. */
  readonly batchable?: boolean;
  /** Flags that this descriptor, by its other flags, may not set, or lacks. */
  refusedFlags?(descriptor: Descriptor): number;
  /** Further bytes that must be zero in this descriptor, by its flags. */
  moreReserved?(descriptor: Descriptor): readonly ByteRange[];
  /** The status of misaligned or overlapping buffers; undefined if they are right. */
  refusedAddresses?(descriptor: Descriptor): number | undefined;
  /** Begins the work of a descriptor that has passed its checks. */
  start(job: Job): Work;
}

/** Flags of every operation that writes memory. */
export const WRITES = Flag.cacheControl | Flag.strictOrdering | Flag.destinationReadback;
/** Flags without which the result of an operation is lost. */
export const RECORD = Flag.completionAddressValid | Flag.requestCompletionRecord;

/** The parts of the device that an operation may use. */
export interface Job {
  readonly submission: Submission;
  readonly memory: DeviceMemory;
  /** Whether engines still work on older descriptors that a Drain descriptor waits for. */
  olderInFlight(): boolean;
  /** Begins a member of this batch. */
  startMember(member: Submission): Run;
}

/** What an operation does, a slice at a time. */
export interface Work {
  /** How it ended; undefined while there is more to do. */
  readonly outcome: Outcome | undefined;
  /** It waits for other descriptors, and has nothing to do at present. */
  readonly blocked?: boolean;
  /** Works for a slice of at most 1 MiB of copying. Returns what it used, in bytes of copying. */
  advance(): number;
}

/** A descriptor on its way from its checks to its completion record and interrupt. */
export interface Run {
  /** The operation status once it has ended. */
  readonly status: number | undefined;
  /** As `Work.advance`. */
  advance(): number;
}
