/** Signals by which a person or a CI system ends a program. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export type InterruptSignal = (typeof SIGNALS)[number];

/** The exit status of a shell for a program that such a signal ended. */
export const INTERRUPT_STATUS: Readonly<Record<InterruptSignal, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** Listeners of one signal before Node warns of a leak: a run of many VMs has one in each. */
const MOST_LISTENERS = 64;

/** Calls `handler` at each such signal, instead of the process ending, until disposal. */
export function onInterrupt(handler: (signal: InterruptSignal) => void): Disposable {
  process.setMaxListeners(Math.max(process.getMaxListeners(), MOST_LISTENERS));
  for (const signal of SIGNALS) process.on(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) process.off(signal, handler);
    },
  };
}
