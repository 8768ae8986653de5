import { workerData } from "node:worker_threads";
import { native } from "@vfio-selftests/native";
import { argumentOffset, type RacerRequest, resultWord, WORDS } from "./racer-memory";

/** A thread that makes its requests in every round, as fast as it can, while the main thread does something else. */
const { steps, memory } = workerData as RacerRequest;
const words = new Int32Array(memory);
const shared = new Uint8Array(memory);
const STOP = -1;

Atomics.store(words, WORDS.ready, 1);
Atomics.notify(words, WORDS.ready);
for (let seen = 0; ;) {
  Atomics.wait(words, WORDS.round, seen);
  const round = Atomics.load(words, WORDS.round);
  if (round === STOP) break;
  if (round === seen) continue;
  seen = round;
  run(Atomics.load(words, WORDS.repeats));
  Atomics.store(words, WORDS.finished, round);
  Atomics.notify(words, WORDS.finished);
}

function run(repeats: number): void {
  const calls = steps.map((step, index) => {
    const offset = argumentOffset(steps, index);
    return { ...step, index, argument: shared.slice(offset, offset + step.length) };
  });
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const { fd, request, argument, index } of calls) {
      // The kernel writes results into the argument, so each call begins with a copy of the original.
      const result = native.ioctl(fd, request, argument.slice());
      Atomics.add(words, resultWord(index, result < 0 ? "failed" : "succeeded"), 1);
      if (result < 0) Atomics.or(words, resultWord(index, "errnos") + (-result >> 5), 1 << (-result & 31));
    }
  }
}
