import { workerData } from "node:worker_threads";
import { native } from "@vfio-selftests/native";
import { ADDRESS_OFFSET, FAULT_WORDS, type FaultRequest, STOP } from "./fault-memory";

/** asm-generic/ioctls.h. The kernel reads an int at the address (fs/ioctl.c, ioctl_fionbio), and says EFAULT if it cannot. */
const FIONBIO = 0x5421;
/** Longer than any pause of the test between two rounds. */
const IDLE_LIMIT_MS = 60_000;

/**
 * A thread that spins, and touches an address in the same moment as the other one. The kernel does it for the thread: its
 * page fault is the same as the processor's in user mode, and a failed one is an errno instead of a signal.
 */
const { memory, fd } = workerData as FaultRequest;
const words = new Int32Array(memory);
const address = new BigUint64Array(memory, ADDRESS_OFFSET, 1);

Atomics.store(words, FAULT_WORDS.ready, 1);
Atomics.notify(words, FAULT_WORDS.ready);
let deadline = performance.now() + IDLE_LIMIT_MS;
for (let seen = 0; ;) {
  const round = Atomics.load(words, FAULT_WORDS.round);
  if (round === STOP) break;
  if (round === seen) {
    if (performance.now() > deadline) break;
    continue;
  }
  seen = round;
  Atomics.store(words, FAULT_WORDS.result, native.ioctl(fd, FIONBIO, address[0] ?? 0n));
  Atomics.store(words, FAULT_WORDS.finished, round);
  deadline = performance.now() + IDLE_LIMIT_MS;
}
