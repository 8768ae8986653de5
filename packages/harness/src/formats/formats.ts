import { defaultFormat } from "./default-format";
import { jsonFormat } from "./json-format";
import { junitFormat } from "./junit-format";
import { ktapFormat } from "./ktap-format";
import type { ReportFormatFactory } from "./report-format";
import { tapFormat } from "./tap-format";

/** Every format by the name that `--reporter` takes. */
export const REPORT_FORMATS = {
  default: defaultFormat,
  tap: tapFormat,
  json: jsonFormat,
  junit: junitFormat,
  ktap: ktapFormat,
} as const satisfies Record<string, ReportFormatFactory>;

/** The name of a format, as `--reporter` takes it. */
export type ReportFormatName = keyof typeof REPORT_FORMATS;
