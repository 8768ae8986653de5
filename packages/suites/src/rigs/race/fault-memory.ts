/** What the two faulting threads share: 32-bit words, then the address that the other thread touches. */
export const FAULT_WORDS = { round: 0, finished: 1, result: 2, ready: 3 } as const;
export const FAULT_BYTES = 24;
/** Offset of the address, a 64-bit word. */
export const ADDRESS_OFFSET = 16;
export const STOP = -1;

export interface FaultRequest {
  readonly memory: SharedArrayBuffer;
  /** An eventfd, of which nobody else has a descriptor. */
  readonly fd: number;
}
