import { eventFormat } from "./event-format";
import { REPORT_FORMATS } from "./formats";
import type { ReportFormat, RunPlan } from "./report-format";
import { fileSink, standardOutput } from "./report-sink";

/** The formats for people and programs, and the one for our own processes. */
const FORMATS = { ...REPORT_FORMATS, events: eventFormat };

/** A format and the file it goes to. Default: standard output. */
export interface Report {
  /** The format's name. */
  readonly format: keyof typeof FORMATS;
  /** Its path. */
  readonly file?: string;
}

/** The reports of one run. Disposal closes their files. */
export interface Reports extends Disposable {
  /** The opened formats, to be told of the events. */
  readonly formats: readonly ReportFormat[];
}

/** Opens the reports' files, in their order. */
export function openReports(reports: readonly Report[], plan: RunPlan): Reports {
  const files: { close(): void }[] = [];
  const formats = reports.map(({ format, file }) => {
    if (file === undefined) return FORMATS[format](standardOutput(), plan);
    const sink = fileSink(file);
    files.push(sink);
    return FORMATS[format](sink, plan);
  });
  return {
    formats,
    [Symbol.dispose]: () => {
      for (const file of files) file.close();
    },
  };
}
