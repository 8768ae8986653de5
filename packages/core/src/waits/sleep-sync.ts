const never = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread for about `milliseconds` (fractions count; the kernel adds some 50 µs). */
export function sleepSync(milliseconds: number): void {
  Atomics.wait(never, 0, 0, milliseconds);
}
