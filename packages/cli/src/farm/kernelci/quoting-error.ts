import { VfioError } from "@vfio-selftests/core/errors";
import { printable } from "../../terminal/printable";

/**
 * An error that quotes what a server answered. The quotation is for this lab's owner alone: a job may name an address that only
 * the lab reaches, and KernelCI would show everybody what is there.
 */
export class QuotingError extends VfioError {
  /** The same without the quotation. */
  readonly unquoted: string;

  constructor(unquoted: string, message: string, options: ConstructorParameters<typeof VfioError>[1]) {
    super(printable(message), options);
    this.unquoted = unquoted;
  }
}

/** What KernelCI may learn of an error: its first line, without what a server answered. */
export function publicWords(error: VfioError): string {
  if (isQuoting(error)) return error.unquoted;
  const [first = ""] = error.message.split("\n");
  return first;
}

/** `instanceof` knows a VfioError alone, because that has a brand. */
export function isQuoting(error: VfioError): error is QuotingError {
  return "unquoted" in error;
}
