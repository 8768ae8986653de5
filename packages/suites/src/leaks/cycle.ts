import type { IommuMode } from "@vfio-selftests/core";
import { FailingCalls } from "../faults/failing-calls";
import { closedAfter, nothingToClose, type Operation } from "../faults/operation";

/** Something that ends as it began. */
export interface Repeatable extends Disposable {
  once(): void;
}

/** Something to repeat, with what it needs opened before. */
export interface Cycle {
  readonly name: string;
  /** The modes it exists in; default all. */
  readonly only?: ((mode: IommuMode) => boolean) | undefined;
  /** How often; default 500. Fewer for what takes long: a smaller leak then does not show. */
  readonly times?: number | undefined;
  readonly prepare: (mode: IommuMode, address: string) => Repeatable;
}

/** What is repeated on something that ends with it. */
export function repeating<On extends Disposable>(prepare: (on: On) => () => void, on: On): Repeatable {
  return closedAfter([() => on[Symbol.dispose]()], () => ({ once: prepare(on), [Symbol.dispose]: nothingToClose }));
}

/** An operation and what undoes it. */
export function cycleOf({ name, only, prepare }: Operation, times?: number): Cycle {
  return {
    name,
    only,
    times,
    prepare(mode, address) {
      const prepared = prepare(mode, address, new FailingCalls());
      return {
        once() {
          const made = prepared.act();
          if (made === undefined) throw new Error(`${name} leaves nothing to undo, so it cannot be repeated`);
          made[Symbol.dispose]();
        },
        [Symbol.dispose]: () => prepared[Symbol.dispose](),
      };
    },
  };
}

/** Requests by their names, and the kernel's answer to each. All are made in one cycle. */
export type Refusals = Readonly<Record<string, readonly [request: () => number | string, answer: string]>>;

/** Makes requests that the kernel refuses. Each answer must be the one that is named. */
export function refused(refusals: Refusals): () => void {
  const requests = Object.values(refusals).map(([request]) => request);
  const expected = JSON.stringify(Object.entries(refusals).map(([name, [, answer]]) => [name, answer]));
  const names = Object.keys(refusals);
  return () => {
    const answers = requests.map((request, index) => [names[index], request()]);
    // A matcher for each request would cost more than the request.
    if (JSON.stringify(answers) !== expected) expect(JSON.stringify(answers)).toBe(expected);
  };
}
