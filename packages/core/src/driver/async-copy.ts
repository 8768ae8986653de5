import { setImmediate as turnOfEventLoop, setTimeout as sleep } from "node:timers/promises";
import { VfioError } from "../errors/vfio-error";
import type { InterruptVector } from "../interrupts/interrupt-vector";
import type { DriverInstance } from "./driver";

/** How long to look at each turn of the event loop before pausing, in milliseconds. */
const EAGER_MS = 1;
/** The longest pause between two looks at a copy without interrupt. */
const LONGEST_PAUSE_MS = 8;
/** How often to look at a copy whose interrupt does not come, because an error may end it without one. */
const LOOK_MS = 10;
/** How much later than the end of the copy its interrupt may arrive. */
const LATE_INTERRUPT_MS = 20;

/** One copy that a caller awaits on the event loop. */
export interface AsyncCopy {
  readonly instance: DriverInstance;
  readonly source: bigint;
  readonly destination: bigint;
  readonly size: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The vector of the driver's completion interrupt. Undefined: the session polls the device. */
  readonly vector: InterruptVector | undefined;
  /** The error if another call has taken the device from the copy, or undefined. */
  readonly taken: () => VfioError | undefined;
}

/**
 * Starts one copy and resolves when it has ended. Rejects with the driver's error, with `ETIMEDOUT`, with the signal's
 * reason, or with `taken`'s error. All DMA has ended when it settles.
 */
export async function copyOnEventLoop(copy: AsyncCopy): Promise<void> {
  const { instance, source, destination, size, vector, taken } = copy;
  const { completion } = instance;
  if (completion === undefined || vector === undefined) instance.memcpyStart(source, destination, size, 1);
  else completion.start(source, destination, size);
  let ended: boolean;
  try {
    ended = vector === undefined ? await pollForEnd(copy) : await interruptOrEnd(copy, vector);
  } catch (error) {
    // The call that took the device has stopped it, and closed its vectors.
    const cause = taken();
    if (cause !== undefined) throw cause;
    await stop(copy);
    throw error;
  }
  const cause = taken();
  if (cause !== undefined) throw cause;
  if (ended) instance.memcpyWait({ timeoutMs: 0 });
  else endLate(copy);
}

/** False if the copy does not end in time. */
async function pollForEnd({ instance, timeoutMs, signal, taken }: AsyncCopy): Promise<boolean> {
  const start = performance.now();
  const deadline = start + timeoutMs;
  let pauseMs = 1;
  while (taken() === undefined && !instance.memcpyEnded()) {
    signal?.throwIfAborted();
    const now = performance.now();
    if (now >= deadline) return false;
    if (now < start + EAGER_MS) {
      await turnOfEventLoop();
      continue;
    }
    await sleep(Math.min(pauseMs, deadline - now));
    pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
  }
  return true;
}

/** False if the copy does not end in time. Takes the interrupt, so that nobody takes it for another. */
async function interruptOrEnd(copy: AsyncCopy, vector: InterruptVector): Promise<boolean> {
  const { instance, timeoutMs, signal, taken } = copy;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const left = deadline - performance.now();
    const interrupted = await interruptWithin(vector, Math.min(LOOK_MS, Math.max(left, 0)), signal);
    if (taken() !== undefined) return true;
    if (instance.memcpyEnded()) {
      if (!interrupted) await interruptWithin(vector, LATE_INTERRUPT_MS, signal);
      return true;
    }
    if (left <= 0) return false;
  }
}

async function interruptWithin(
  vector: InterruptVector,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  try {
    await vector.wait({ timeoutMs, ...(signal === undefined ? {} : { signal }) });
    return true;
  } catch (error) {
    if (isTimeOut(error)) return false;
    throw error;
  }
}

/** The time is over. `memcpyWait` stops the device and reports its state, unless the copy has just ended after all. */
function endLate(copy: AsyncCopy): void {
  const { instance, timeoutMs, vector } = copy;
  try {
    instance.memcpyWait({ timeoutMs: 0 });
  } catch (error) {
    if (!isTimeOut(error)) throw error;
    throw new VfioError(`the copy did not end within ${timeoutMs} ms: ${error.message}`, {
      code: "ETIMEDOUT",
      errno: 110,
      operation: "DriverSession.memcpy",
      ...(error.subject === undefined ? {} : { subject: error.subject }),
      cause: error,
    });
  } finally {
    discardInterrupt(vector);
  }
}

/** Stops the device and leaves it usable. It drops the error of the abandoned copy; the next copy reports any other. */
async function stop({ instance, vector }: AsyncCopy): Promise<void> {
  let ended = false;
  try {
    instance.memcpyWait({ timeoutMs: 0 });
    ended = true;
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
  }
  // The interrupt of a copy that has just ended may still be on its way, and is nobody else's.
  if (ended && vector !== undefined) await interruptOrClosed(vector);
  else discardInterrupt(vector);
}

/** Takes the interrupt of a copy that has ended, unless another call closes the vector meanwhile. */
async function interruptOrClosed(vector: InterruptVector): Promise<void> {
  try {
    await interruptWithin(vector, LATE_INTERRUPT_MS, undefined);
  } catch (error) {
    if (!vector.closed) throw error;
  }
}

function discardInterrupt(vector: InterruptVector | undefined): void {
  if (vector?.closed === false) vector.tryRead();
}

function isTimeOut(error: unknown): error is VfioError {
  return error instanceof VfioError && error.code === "ETIMEDOUT";
}
