/** Signals with which a person or a CI system ends a program. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A signal by which a user or a CI ends a program. */
export type InterruptSignal = (typeof SIGNALS)[number];

/** The exit status that a shell gives a program that such a signal ended. */
export const INTERRUPT_STATUS: Readonly<Record<InterruptSignal, number>> = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** The most listeners of one signal before Node warns of a leak. A run of many VMs has one for each. */
const MOST_LISTENERS = 64;

/** Calls `handler` at each such signal, which then does not end the process, until disposal. */
export function onInterrupt(handler: (signal: InterruptSignal) => void): Disposable {
  process.setMaxListeners(Math.max(process.getMaxListeners(), MOST_LISTENERS));
  for (const signal of SIGNALS) process.on(signal, handler);
  return {
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) process.off(signal, handler);
    },
  };
}
