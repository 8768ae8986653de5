/** The result of a call, which must not be an `-errno`. */
export function succeeded<T>(result: T | number): T {
  if (typeof result === "number") throw new Error(`the call failed with errno ${-result}`);
  return result;
}

/** A descriptor or count, which must not be an `-errno`. */
export function nonNegative(result: number): number {
  if (result < 0) throw new Error(`the call failed with errno ${-result}`);
  return result;
}
