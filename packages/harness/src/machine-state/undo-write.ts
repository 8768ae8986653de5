import { existsSync, writeFileSync } from "node:fs";
import { argumentError } from "@vfio-selftests/core/errors";

/**
 * One step back: a value to write to a file of the kernel. Such writes put back all that tests change on a machine.
 * Where the file is gone (a freed interrupt, a device without a driver) there is nothing to do.
 */
export interface UndoWrite {
  readonly path: string;
  readonly value: string;
  /** A path whose presence shows that the step is not needed. */
  readonly unless?: string;
}

const SEPARATOR = "|";

/** A line of the journal, as the guardian's shell reads it. */
export function undoLine({ path, value, unless = "" }: UndoWrite): string {
  for (const part of [path, unless, value]) {
    if (part.includes("\n") || (part.includes(SEPARATOR) && part !== value)) {
      throw argumentError("record a change", "path or value", part, "one line, and no | in a path");
    }
  }
  return [path, unless, value].join(SEPARATOR);
}

/** The inverse of {@link undoLine}; undefined for any other text. */
export function parseUndoLine(line: string): UndoWrite | undefined {
  const [, path, unless, value] = /^([^|]+)\|([^|]*)\|(.*)$/.exec(line) ?? [];
  if (path === undefined || value === undefined) return undefined;
  return { path, value, ...(unless === undefined || unless === "" ? {} : { unless }) };
}

/**
 * Takes the step. Throws as `writeFileSync` does. The line end lets an empty value through, and the kernel ignores it.
 */
export function applyUndo({ path, value, unless }: UndoWrite): void {
  if (!existsSync(path) || (unless !== undefined && existsSync(unless))) return;
  writeFileSync(path, `${value}\n`);
}
