/** The other thread of the eventfd benchmark: writes once the reader has had time to fall asleep. */
import { native } from "@vfio-selftests/native";
import { workerData } from "node:worker_threads";

const { fd, shared, wakeups } = workerData as { fd: number; shared: SharedArrayBuffer; wakeups: number };
const written = new BigUint64Array(shared, 0, 1);
const taken = new Int32Array(shared, 8, 1);
const pause = new Int32Array(new SharedArrayBuffer(4));
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

for (let i = 0; i < wakeups; i++) {
  while (Atomics.load(taken, 0) !== i) Atomics.wait(taken, 0, Atomics.load(taken, 0), 1);
  Atomics.wait(pause, 0, 0, 0.3);
  written[0] = process.hrtime.bigint();
  native.write(fd, one);
}
