import { closeAll } from "./close-all";

/**
 * Calls `use`, and then `end` once it is over: when `use` returns, throws, or its promise settles. Any thenable counts
 * as a promise, because those of another realm (jest's, `node:vm`'s) are no instance of this realm's `Promise`.
 */
export function useUntilSettled(subject: string, use: () => unknown, end: () => void): unknown {
  /** Throws the error, together with any that `end` throws. */
  const endAfter = (error: unknown): void => {
    const rethrow = (): void => {
      throw error;
    };
    closeAll(subject, [rethrow, end]);
  };
  let result: unknown;
  try {
    result = use();
    if (isThenable(result)) {
      return Promise.resolve(result).then((value) => {
        end();
        return value;
      }, endAfter);
    }
  } catch (error) {
    endAfter(error);
  }
  end();
  return result;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
