import { COMMANDS } from "../commands";
import type { AnyCommand, CommandEntry } from "../options/command";
import type { AnyOption } from "../options/option";

const HEAD = `# Commands

Every command and its options. \`pnpm commands-page\` writes this page from the tables that the parser reads
(\`packages/cli/src/commands.ts\`).

In this repository \`vfio-selftests\` is \`pnpm vfio\`. An option whose value ends in \`...\` takes several. Exit codes are in
the [README of the command](../packages/cli/README.md).
`;

/** docs/commands.md. */
export async function commandsPage(): Promise<string> {
  const sections = await Promise.all(COMMANDS.map(async (entry) => section(entry, await entry.load())));
  return [HEAD, ...sections].join("\n");
}

function section(entry: CommandEntry, command: AnyCommand): string {
  const { argument, options, notes = [] } = command;
  const specs = Object.values(options);
  const usage = command.usage ?? [specs.length > 0 ? "[options]" : "", argument?.usage ?? ""].join(" ").trim();
  const rows = [
    ...(argument === undefined ? [] : [[`\`${argument.usage}\``, describe(argument.summary, argument.choices)]]),
    ...specs.map((spec) => [`\`${spec.flags}\``, describeOption(spec)]),
  ];
  return [
    `## ${entry.name}`,
    sentence(entry.summary),
    ["```sh", `vfio-selftests ${entry.name} ${usage}`.trimEnd(), "```"].join("\n"),
    ...(rows.length === 0 ? [] : [table([["option", "meaning"], ...rows])]),
    ...notes,
  ]
    .map((part) => `${part}\n`)
    .join("\n");
}

function describeOption({ summary, choices, required, default: given }: AnyOption): string {
  const facts = [required === true ? "required" : "", given === undefined ? "" : `default: ${String(given)}`];
  const told = facts.filter((fact) => fact !== "").join("; ");
  return `${describe(summary, choices)}${told === "" ? "" : ` (${told})`}`;
}

function describe(summary: string, choices: readonly string[] | undefined): string {
  return escape(choices === undefined ? summary : `${summary}: ${choices.join(", ")}`);
}

/** Escapes a table cell, where `*` and `_` would be emphasis. */
function escape(text: string): string {
  return text.replace(/[|*]/g, "\\$&");
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** A table with cells padded to their columns, as Prettier pads them. */
function table(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell, column) => (column === 0 ? escape(cell) : cell)));
  const widths = [0, 1].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}
