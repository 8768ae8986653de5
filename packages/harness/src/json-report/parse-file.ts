import { readFileSync } from "node:fs";
import { errnoName, systemError, systemResult, VfioError } from "@vfio-selftests/core/errors";
import { type Check, Mismatch } from "./fields";

/** A kind of file that `report` reads. */
export interface FileKind {
  readonly version: number;
  /** What writes such files, for remedies. */
  readonly writer: string;
  readonly check: Check;
}

/** Parses a file and checks it whole. `name` is for the errors: ERR_INVALID_REPORT for what this version cannot read whole. */
export function parseFile(content: string, name: string, { version: known, writer, check }: FileKind): unknown {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    const why = content.trim() === "" ? "it is empty" : (error as Error).message;
    throw invalidReport(name, why, `give it whole, as ${writer} wrote it, or leave it out`);
  }
  // First, because another version's fields would only look wrong.
  const { version } = (value ?? {}) as { readonly version?: unknown };
  if (version !== undefined && version !== known) {
    const why = `its version is ${JSON.stringify(version)}, and this program reads version ${known}`;
    throw invalidReport(name, why, "read it with the version of vfio-selftests that wrote it");
  }
  try {
    check(value, "");
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    throw invalidReport(name, error.message, `give a file that ${writer} of this version wrote`);
  }
  return value;
}

/** ERR_INVALID_REPORT: the file `subject` cannot be read for this reason. */
export function invalidReport(subject: string, why: string, remedy: string): VfioError {
  const message = `cannot read the report ${subject}: ${why}`;
  return new VfioError(message, { code: "ERR_INVALID_REPORT", operation: "report", subject, remedy });
}

/** The text of a file for `report`. */
export function readReportText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "report", {
      message: `cannot read the report ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "give a file that `--reporter json --output FILE` wrote and that you may read",
    });
  }
}
