import { COMMANDS } from "../commands";
import { EXIT_CODE_MEANINGS } from "../exit-codes";
import type { AnyCommand, CommandEntry } from "../options/command";
import type { AnyOption } from "../options/option";

const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ["VFIO_SELFTESTS_BDF", "the devices of `run` and `upstream` where -d names none, separated by spaces or commas"],
  [
    "VFIO_SELFTESTS_NVME_SCRATCH",
    "serial numbers of NVMe disks whose data may go, SERIAL or SERIAL/NAMESPACE, with commas between",
  ],
  ["VFIO_SELFTESTS_DEBUG", "with any value, errors have their stack"],
];

/** man/vfio-selftests.1, in the macros of man(7). */
export async function manPage(): Promise<string> {
  const sections = await Promise.all(COMMANDS.map(async (entry) => section(entry, await entry.load())));
  return [
    '.\\" `pnpm commands-page` writes this file from the tables that the parser reads.',
    ".TH VFIO\\-SELFTESTS 1",
    // No hyphenation and no justification: what is copied is what was meant.
    ".nh",
    ".ad l",
    ".SH NAME",
    "vfio\\-selftests \\- tests of Linux VFIO, IOMMUFD and the IOMMU drivers under them",
    ".SH SYNOPSIS",
    ".B vfio\\-selftests",
    "\\fIcommand\\fR [\\fIoptions\\fR]",
    ".SH DESCRIPTION",
    roff("`vfio-selftests run` tests drivers and suites on device models, on any machine and without root."),
    roff(
      "`vfio-selftests lab run` tests a real kernel in a VM, `vfio-selftests run -d DEVICE` a device of this machine.",
    ),
    ".PP",
    roff("An option whose value ends in ... takes several: `-d A B`, `-d A -d B` or, for lists, `-d A,B`."),
    ".SH COMMANDS",
    ...sections,
    ".SH EXIT STATUS",
    ...EXIT_CODE_MEANINGS.map(([code, meaning]) => tagged(`\\fB${code}\\fR`, meaning)),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.map(([name, meaning]) => tagged(`\\fB${name}\\fR`, meaning)),
    "",
  ].join("\n");
}

function section(entry: CommandEntry, command: AnyCommand): string {
  const { argument, options, notes = [] } = command;
  const specs = Object.values(options);
  const usage = command.usage ?? [specs.length > 0 ? "[options]" : "", argument?.usage ?? ""].join(" ").trim();
  return [
    `.SS vfio\\-selftests ${escape(`${entry.name} ${usage}`.trim())}`,
    roff(sentence(entry.summary)),
    ...(argument === undefined
      ? []
      : [tagged(`\\fI${escape(argument.usage)}\\fR`, withChoices(argument.summary, argument.choices))]),
    ...specs.map((spec) => tagged(flags(spec), described(spec))),
    ...notes.flatMap((note) => [".PP", note.split("\n").map(noteLine).join("\n")]),
  ].join("\n");
}

/** Names in bold, values in italics. */
function flags(spec: AnyOption): string {
  return escape(spec.flags)
    .replace(/(\\-)+[\w\\-]+/g, "\\fB$&\\fR")
    .replace(/[<[].+[>\]]/, "\\fI$&\\fR");
}

function described({ summary, choices, required, default: given }: AnyOption): string {
  const facts = [required === true ? "required" : "", given === undefined ? "" : `default: ${String(given)}`];
  const told = facts.filter((fact) => fact !== "").join("; ");
  return `${withChoices(summary, choices)}${told === "" ? "" : ` (${told})`}`;
}

function withChoices(summary: string, choices: readonly string[] | undefined): string {
  return choices === undefined ? summary : `${summary}: ${choices.join(", ")}`;
}

/** A line of a note, of which some are lists. */
function noteLine(line: string): string {
  if (line === "") return ".PP";
  return line.startsWith("- ") ? `.IP \\(bu 2\n${roff(line.slice(2))}` : roff(line);
}

function tagged(tag: string, text: string): string {
  return [".TP", tag, roff(text)].join("\n");
}

/** A line of text: what help marks with backquotes is bold. */
function roff(text: string): string {
  const marked = escape(text).replace(/`([^`]+)`/g, "\\fB$1\\fR");
  // A control character at the start of a line would make it a request.
  return /^[.']/.test(marked) ? `\\&${marked}` : marked;
}

/** A plain minus, which can be searched and pasted; and no escape that the text does not mean. */
function escape(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll("…", "...").replaceAll("×", "x");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
