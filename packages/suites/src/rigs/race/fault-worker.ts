import { workerData } from "node:worker_threads";
import { native } from "@vfio-selftests/native";
import { ADDRESS_OFFSET, awaitChange, FAULT_WORDS, type FaultRequest, STOP } from "./fault-memory";

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
for (let seen = 0; ;) {
  const round = awaitChange(words, FAULT_WORDS.round, seen, IDLE_LIMIT_MS);
  if (round === STOP || round === seen) break;
  seen = round;
  Atomics.store(words, FAULT_WORDS.result, native.ioctl(fd, FIONBIO, address[0] ?? 0n));
  Atomics.store(words, FAULT_WORDS.finished, round);
  Atomics.notify(words, FAULT_WORDS.finished);
}
