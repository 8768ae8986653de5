import { asCalled } from "@vfio-selftests/core/errors";

/** Why a test did not run here, and what the user can do so that it does. */
export interface SkipReason {
  /** Why it did not run. */
  readonly reason: string;
  /** What to do so that it runs. */
  readonly remedy: string;
}

/**
 * Marks the error across realms. jest runs tests in a context of their own, where `instanceof` does not reach.
 * @internal
 */
export const SKIP = Symbol.for("vfio-selftests.skip");

/**
 * {@link skip} throws this, and the package's jest environment turns it into a skipped result. Without that environment
 * jest knows only pass and fail. The message then says what to configure, because a check that did not run must never
 * count as a pass.
 */
export class SkipError extends Error {
  /** Always `SkipError`. */
  override readonly name = "SkipError";
  /** The reason, by which every copy of this package recognises the error. */
  readonly [SKIP]: SkipReason;

  /** The message holds reason and remedy. */
  constructor(reason: SkipReason) {
    super(
      `${skipText(reason)}\n` +
        `(Shown as a failure because jest cannot skip a running test: ` +
        `set testEnvironment: "@vfio-selftests/harness/jest-environment" in your jest configuration.)`,
    );
    this[SKIP] = reason;
  }
}

/** Ends the running test, or every test under the running hook, as skipped. */
export function skip({ reason, remedy }: SkipReason): never {
  throw new SkipError({ reason, remedy: asCalled(remedy) });
}

/** The two lines that a person reads, and {@link parseSkipText} takes apart again. */
export function skipText({ reason, remedy }: SkipReason): string {
  return `skipped: ${reason}\nremedy: ${remedy}`;
}

/** The inverse of {@link skipText}, for reports made from jest's own results; undefined for any other text. */
export function parseSkipText(text: string): SkipReason | undefined {
  const match = /^skipped: ([^]*?)\nremedy: ([^]*)$/.exec(text);
  const [, reason, remedy] = match ?? [];
  return reason === undefined || remedy === undefined ? undefined : { reason, remedy };
}
