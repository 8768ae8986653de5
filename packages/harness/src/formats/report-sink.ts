import { closeSync, openSync, writeFileSync } from "node:fs";
import { errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
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

export function standardOutput(): ReportSink {
  const { stdout } = process;
  return {
    write: (text) => void stdout.write(text),
    interactive: stdout.isTTY && process.env["CI"] === undefined,
    // A terminal may change its width, and one that does not know it says 0.
    get columns() {
      return stdout.columns > 0 ? stdout.columns : undefined;
    },
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
