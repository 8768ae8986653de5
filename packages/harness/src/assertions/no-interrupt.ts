import { type Eventfd, VfioError } from "@vfio-selftests/core";

/**
 * Throws `ERR_UNEXPECTED_EVENT` when there is a count now or within `withinMs` (default 0: only now). Takes the count.
 */
export function assertNoInterrupt(eventfd: Eventfd, { withinMs = 0 }: { readonly withinMs?: number } = {}): void {
  const count = countWithin(eventfd, withinMs);
  if (count === undefined) return;
  throw new VfioError(`${eventfd.label} was signalled ${count} time(s), expected none`, {
    code: "ERR_UNEXPECTED_EVENT",
    operation: "assertNoInterrupt",
    subject: eventfd.label,
  });
}

function countWithin(eventfd: Eventfd, timeoutMs: number): bigint | undefined {
  try {
    return eventfd.waitSync({ timeoutMs });
  } catch (error) {
    if (error instanceof VfioError && error.code === "ETIMEDOUT") return undefined;
    throw error;
  }
}
