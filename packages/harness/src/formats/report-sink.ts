import { closeSync, openSync, writeFileSync } from "node:fs";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import { showsColour } from "./paint";
import type { ReportSink } from "./report-format";

/** A report's file, which is emptied first. A failed write throws, so that no report ends in the middle unseen. */
export function fileSink(path: string): ReportSink & { close(): void } {
  const fd = attempt(path, () => openSync(path, "w"));
  return {
    // Not writeSync, which may write only a part when the disk fills up.
    write: (text) => attempt(path, () => writeFileSync(fd, text)),
    interactive: false,
    close: () => closeSync(fd),
  };
}

/**
 * Gives a process the width of the terminal that shows its output, where it has none itself: the lab does so for the run in
 * its VM.
 */
export const TERMINAL_COLUMNS = "VFIO_SELFTESTS_TERMINAL_COLUMNS";

export function standardOutput(): ReportSink {
  const { stdout } = process;
  const told = Number(process.env[TERMINAL_COLUMNS] ?? 0);
  const isTTY = stdout.isTTY || told > 0;
  return {
    write: (text) => void stdout.write(text),
    interactive: isTTY && process.env["CI"] === undefined,
    // A terminal may change its width, and one that does not know it says 0.
    get columns() {
      const columns = stdout.columns > 0 ? stdout.columns : told;
      return columns > 0 ? columns : undefined;
    },
    colour: showsColour({ isTTY }),
  };
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const result = systemResult(error);
    throw systemError(result, "report", {
      message: `cannot write the report to ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "name a file in a folder that exists, has space, and that you may write to",
    });
  }
}
