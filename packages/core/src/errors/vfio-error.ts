import { Errno, errnoName } from "./errno";
import type { VfioErrorCode } from "./error-codes";
import { remedyFor } from "./remedies";

/** The facts of a `VfioError`. */
export interface VfioErrorOptions {
  /** Stable: an errno's name (`EBUSY`) or one of ours (`ERR_CLOSED`). docs/errors.md explains each. */
  code: VfioErrorCode;
  /** Positive errno, if a system call failed. */
  errno?: number;
  /** What failed: the name of the ioctl, the system call or the method. */
  operation: string;
  /** What it was applied to: a device address, a path, a mode. */
  subject?: string;
  /** What the user can do about it. */
  remedy?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/** Every copy of this class marks its errors with it: an install may hold several versions of `core`, and jest loads it anew. */
const BRAND = Symbol.for("@vfio-selftests/core.VfioError");

/**
 * The one error class of the toolkit. It says what failed, on what, why, and what to do about it. `instanceof VfioError`
 * knows the errors of every copy of `core` that is loaded.
 */
export class VfioError extends Error {
  static override [Symbol.hasInstance](value: unknown): value is VfioError {
    // A subclass is known by its prototype, as always.
    if (this !== VfioError) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === "object" && value !== null && BRAND in value;
  }

  /** Always `VfioError`. */
  override readonly name = "VfioError";
  /** Stable: an errno's name (`EBUSY`) or one of ours (`ERR_CLOSED`). docs/errors.md explains each. */
  readonly code: VfioErrorCode;
  /** Positive errno, if a system call failed. */
  readonly errno: number | undefined;
  /** What failed: the name of the ioctl, the system call or the method. */
  readonly operation: string;
  /** What it was applied to: a device address, a path, a mode. */
  readonly subject: string | undefined;
  /** What the user can do about it. */
  readonly remedy: string | undefined;

  /** The message is one line for people. It says what failed and on what. */
  constructor(message: string, options: VfioErrorOptions) {
    super(
      options.remedy === undefined ? message : `${message}\n  Remedy: ${options.remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = options.code;
    this.errno = options.errno;
    this.operation = options.operation;
    this.subject = options.subject;
    this.remedy = options.remedy;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** The error of a system call that returned `-errno`. The remedy is the known one, unless the caller passes its own. */
export function systemError(
  result: number,
  operation: string,
  details: { subject?: string; remedy?: string | undefined; message?: string; cause?: unknown } = {},
): VfioError {
  const errno = -result;
  const code = errnoName(errno);
  const remedy = details.remedy ?? remedyFor(operation, code, details.subject);
  const on = details.subject === undefined ? "" : ` on ${details.subject}`;
  return new VfioError(details.message ?? `${operation} failed${on}: ${code}`, {
    code,
    errno,
    operation,
    ...(details.subject === undefined ? {} : { subject: details.subject }),
    ...(remedy === undefined ? {} : { remedy }),
    ...(details.cause === undefined ? {} : { cause: details.cause }),
  });
}

/** The `-errno` of an error from Node's own system calls, `-EIO` for any other. Pass it to {@link systemError}. */
export function systemResult(error: unknown): number {
  // Not instanceof, because in jest the errors of node:fs come from another realm.
  const { errno } = (error ?? {}) as { errno?: unknown };
  return typeof errno === "number" ? errno : -Errno.EIO;
}

/** The error of using a handle after `close` or disposal. */
export function closedError(operation: string, subject: string): VfioError {
  return new VfioError(`${operation}: ${subject} is closed`, { code: "ERR_CLOSED", operation, subject });
}

/** The error of an invalid argument. The message names the value, or tells that it is missing (undefined), and what is allowed. */
export function argumentError(operation: string, name: string, value: unknown, allowed: string): VfioError {
  const given = value === undefined ? "missing" : describe(value);
  return new VfioError(`${operation}: ${name} is ${given}; allowed: ${allowed}`, {
    code: "ERR_INVALID_ARGUMENT",
    operation,
    subject: name,
  });
}

function describe(value: unknown): string {
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  if (typeof value === "string") return JSON.stringify(value);
  return String(value);
}

/** Returns `value` if it is an integer from `minimum` to `maximum`, else throws an argument error. */
export function checkInteger(operation: string, name: string, value: number, minimum: number, maximum: number): number {
  if (!Number.isInteger(value) || value < minimum || value > maximum) {
    throw argumentError(operation, name, value, `an integer from ${minimum} to ${maximum}`);
  }
  return value;
}
