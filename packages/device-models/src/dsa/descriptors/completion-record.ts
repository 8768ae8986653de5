import { STATUS_WRITE_FAULT } from "./status";

export const COMPLETION_RECORD_BYTES = 32;

/** How a descriptor ended: the fields of its completion record (section 8.2) or of SWERROR. */
export interface Outcome {
  /** Operation status, bits 5:0. */
  readonly status: number;
  readonly result?: number;
  /** Bytes Completed, or Descriptors Completed of a batch. */
  readonly completed?: number;
  /** For a page fault. */
  readonly fault?: { readonly address: bigint; readonly write: boolean };
  readonly crc?: number;
  readonly invalidFlags?: number;
}

export function completionRecord(outcome: Outcome): Uint8Array {
  const bytes = new Uint8Array(COMPLETION_RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  bytes[0] = outcome.status | (outcome.fault?.write === true ? STATUS_WRITE_FAULT : 0);
  bytes[1] = outcome.result ?? 0;
  view.setUint32(4, outcome.completed ?? 0, true);
  view.setBigUint64(8, outcome.fault?.address ?? 0n, true);
  view.setUint32(16, outcome.invalidFlags ?? outcome.crc ?? 0, true);
  return bytes;
}
