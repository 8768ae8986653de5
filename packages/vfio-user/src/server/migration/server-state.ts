/** A vector of an interrupt index. */
export interface PendingVector {
  readonly index: number;
  readonly vector: number;
}

/** What a device leaves behind when it moves. */
export interface DeviceState {
  /** Interrupts that were raised and that the client has not got, because their vectors are masked. */
  readonly pending: readonly PendingVector[];
  /** What the model saved. */
  readonly model: Uint8Array;
}

const WORD = 4;

/** A count, two words for each pending interrupt, and the model's bytes. */
export function packState({ pending, model }: DeviceState): Uint8Array {
  const words = Uint32Array.from([pending.length, ...pending.flatMap(({ index, vector }) => [index, vector])]);
  return Buffer.concat([new Uint8Array(words.buffer), model]);
}

/** Undefined if the bytes are none of {@link packState}. */
export function unpackState(bytes: Uint8Array): DeviceState | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < WORD) return undefined;
  const count = view.getUint32(0, true);
  const end = WORD + 2 * WORD * count;
  if (end > bytes.length) return undefined;
  const pending = Array.from({ length: count }, (_, i) => ({
    index: view.getUint32(WORD + 2 * WORD * i, true),
    vector: view.getUint32(2 * WORD + 2 * WORD * i, true),
  }));
  return { pending, model: bytes.subarray(end) };
}
