import { commandGroups, type CompletedCommand, type CompletedOption, type CompletedValue } from "./completed-command";

const HELPERS = `
_vfio_selftests_devices() {
  local -a found=(/sys/bus/pci/devices/*(N:t))
  compset -P '*,'
  compadd -a found
}

_vfio_selftests_words() {
  compset -P '*,'
  compadd -- "$@"
}
`;

/** The script for zsh: a file \`_vfio-selftests\` in \`fpath\`, or evaluated. */
export function zshCompletion(commands: readonly CompletedCommand[]): string {
  const groups = commandGroups(commands);
  const first = [...new Set(commands.map(({ name }) => name.split(" ")[0] ?? ""))];
  const branches = commands.map(
    ({ name, options, argument }) =>
      `    ${quote(name)})\n      _arguments -S : \\\n        ${[...options.flatMap(optionSpecs), ...argumentSpec(argument)].join(" \\\n        ")}\n      ;;`,
  );
  const summaryOf = (name: string): string =>
    commands.find((command) => command.name === name)?.summary ?? `commands: ${(groups.get(name) ?? []).join(", ")}`;
  const described = (names: readonly string[], prefix = ""): string =>
    names.map((name) => quote(`${name}:${summaryOf(`${prefix}${name}`).replaceAll(":", "\\:")}`)).join(" ");
  const groupBranches = [...groups].map(
    ([name, seconds]) => `    ${quote(name)}) commands=(${described(seconds, `${name} `)}) ;;`,
  );
  const twoWords = commands.filter(({ name }) => name.includes(" ")).map(({ name }) => quote(name));
  return [
    "#compdef vfio-selftests",
    "# Completion of vfio-selftests for zsh: a file _vfio-selftests in a folder of fpath, or",
    '# eval "$(vfio-selftests completion zsh)" after compinit.',
    HELPERS,
    "_vfio_selftests() {",
    "  local -a commands",
    "  local name",
    "  if ((CURRENT == 2)); then",
    `    commands=(${described(first)})`,
    "    _describe command commands",
    "    return",
    "  fi",
    "  name=$words[2]",
    "  if ((CURRENT == 3)); then",
    "    case $name in",
    ...groupBranches.map((line) => `  ${line}`),
    "    esac",
    "    ((${#commands})) && _describe command commands",
    "  fi",
    "  shift words",
    "  ((CURRENT--))",
    `  case "$name $words[2]" in`,
    `    ${twoWords.join(" | ")})`,
    '      name="$name $words[2]"',
    "      shift words",
    "      ((CURRENT--))",
    "      ;;",
    "  esac",
    "  case $name in",
    ...branches,
    "  esac",
    "}",
    "",
    'if [[ $funcstack[1] == _vfio-selftests ]]; then _vfio_selftests "$@"; else compdef _vfio_selftests vfio-selftests; fi',
    "",
  ].join("\n");
}

/** A specification of _arguments for each name of the option. */
function optionSpecs({ names, summary, repeatable, value }: CompletedOption): string[] {
  // One that was given excludes its other name, too.
  const before = repeatable ? "*" : `(${names.join(" ")})`;
  const text = `[${plain(summary)}]`;
  return names.map((name) => {
    const assigned = value !== undefined && name.startsWith("--") ? `${name}=` : name;
    return quote(`${before}${assigned}${text}${value === undefined ? "" : `:${value.name}:${action(value)}`}`);
  });
}

function argumentSpec(argument: CompletedValue | undefined): string[] {
  if (argument === undefined) return [];
  if (argument.source.kind === "programs") return [quote(`*::${argument.name}:_normal`)];
  return [quote(`${argument.several ? "*" : ""}:${argument.name}:${action(argument)}`)];
}

function action({ source }: CompletedValue): string {
  switch (source.kind) {
    case "words":
      return `_vfio_selftests_words ${source.words.join(" ")}`;
    case "devices":
      return "_vfio_selftests_devices";
    case "folders":
      return "_files -/";
    case "files":
      return "_files";
    case "programs":
      return "_command_names -e";
    case "unknown":
      return " ";
  }
}

/** Without what _arguments gives a meaning to inside of a description. */
function plain(text: string): string {
  return text.replaceAll("[", "(").replaceAll("]", ")").replaceAll("\\", "").replaceAll(":", "\\:");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
