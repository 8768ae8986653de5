import { type OptionTable, text } from "../options/option";

export interface ReportOptions {
  readonly output: string;
}

export const PAGE_OPTIONS: OptionTable<ReportOptions> = {
  output: text("-o, --output <file>", "write the page there", { default: "report.html" }),
};

export const MERGE_OPTIONS: OptionTable<ReportOptions> = {
  output: text("-o, --output <file>", "write the merged report there", { default: "merged.json" }),
};
