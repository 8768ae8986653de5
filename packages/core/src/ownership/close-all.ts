import { VfioError } from "../errors/vfio-error";

/**
 * The one order in which things end. It takes every step, whatever earlier steps threw. It throws a single error as it
 * is. Several errors become one with the first one's code, whose `cause` is an AggregateError of all.
 */
export function closeAll(subject: string, steps: Iterable<() => void>): void {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      errors.push(error);
    }
  }
  const [first] = errors;
  if (errors.length === 0) return;
  if (errors.length === 1) throw first;
  const messages = errors.map((error) => (error instanceof Error ? error.message : String(error)));
  throw new VfioError(`close: ${errors.length} steps failed for ${subject}: ${messages.join("; ")}`, {
    code: first instanceof VfioError ? first.code : "ERR_CLOSE_FAILED",
    ...(first instanceof VfioError && first.errno !== undefined ? { errno: first.errno } : {}),
    operation: "close",
    subject,
    cause: new AggregateError(errors, messages.join("; ")),
  });
}
