import { InvalidArgumentError } from "commander";
import { type OptionSpec, type OptionTable, text } from "../options/option";

export interface ReportOptions {
  readonly output: string;
}

export const PAGE_OPTIONS: OptionTable<ReportOptions> = {
  output: text("-o, --output <file>", "write the page there", { default: "report.html" }),
};

export const MERGE_OPTIONS: OptionTable<ReportOptions> = {
  output: text("-o, --output <file>", "write the merged report there", { default: "merged.json" }),
};

export interface KcidbOptions extends ReportOptions {
  readonly origin: string;
  readonly build: string;
}

export const KCIDB_OPTIONS: OptionTable<KcidbOptions> = {
  origin: matching(
    "--origin <name>",
    "the CI system that submits, as KCIDB knows it",
    /^[a-z0-9_]+$/,
    "letters, digits and _",
  ),
  build: matching(
    "--build <id>",
    "the tested kernel's build in KCIDB",
    /^[a-z0-9_]+:./,
    "an origin and an id: maestro:…",
  ),
  output: text("-o, --output <file>", "write the results there", { default: "kcidb.json" }),
};

function matching(flags: string, summary: string, allowed: RegExp, words: string): OptionSpec<string> {
  const parse = (value: string): string => {
    if (!allowed.test(value)) throw new InvalidArgumentError(`Allowed is ${words}.`);
    return value;
  };
  return { ...text(flags, summary, { required: true }), parse };
}
