/** What the end of a `using` throws when it fails behind another failure (ECMAScript's explicit resource management). */
interface Nested {
  readonly error?: unknown;
  readonly suppressed?: unknown;
  readonly errors?: unknown;
  readonly cause?: unknown;
}

/**
 * Gives each SuppressedError in an error the `errors` of an AggregateError: the first failure, and the one that came over it.
 * jest prints `errors` and `cause` (`flattenErrorStack` of jest-message-util), and knows nothing of a SuppressedError's two.
 */
export function showSuppressed(thrown: unknown, seen = new Set<object>()): void {
  // jest-circus keeps an error alone or as [error, error with the registration's stack].
  if (Array.isArray(thrown)) {
    for (const each of thrown) showSuppressed(each, seen);
    return;
  }
  if (typeof thrown !== "object" || thrown === null || seen.has(thrown)) return;
  seen.add(thrown);
  const nested: Nested = thrown;
  if ("suppressed" in nested && "error" in nested && !("errors" in nested) && Object.isExtensible(nested)) {
    Object.defineProperty(nested, "errors", { value: [nested.suppressed, nested.error], enumerable: false });
  }
  showSuppressed(nested.errors, seen);
  showSuppressed(nested.cause, seen);
}
