import { workerData } from "node:worker_threads";
import { MAP_ANONYMOUS, MAP_LOCKED, MAP_PRIVATE } from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { LOCKING_WORDS, type LockingRequest } from "./locking-thread";

/** A thread that locks a page in memory and frees it, until it is told to stop. */
const { memory } = workerData as LockingRequest;
const words = new Int32Array(memory);
const page = { fd: -1, length: native.pageSize(), flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED };

while (Atomics.load(words, LOCKING_WORDS.stop) === 0) {
  const locked = native.mapIo(page);
  if (typeof locked === "number" || locked.unmap() < 0) {
    Atomics.add(words, LOCKING_WORDS.failed, 1);
  } else if (Atomics.add(words, LOCKING_WORDS.rounds, 1) === 0) {
    Atomics.notify(words, LOCKING_WORDS.rounds);
  }
}
