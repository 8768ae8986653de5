import { commandGroups, type CompletedCommand, type CompletedOption, type CompletedValue } from "./completed-command";

/** The script for fish. */
export function fishCompletion(commands: readonly CompletedCommand[]): string {
  const groups = commandGroups(commands);
  const twoWords = commands.map(({ name }) => name).filter((name) => name.includes(" "));
  const groupNames = [...groups.keys()].filter((name) => !commands.some((command) => command.name === name));
  return [
    "# Completion of vfio-selftests for fish: vfio-selftests completion fish | source",
    "",
    "# Whether the line is at this command, of which it has one word or two.",
    "function __vfio_selftests_at",
    "  set -l words (commandline -opc)",
    "  set -e words[1]",
    '  set -l name "$words[1]"',
    `  if contains -- "$words[1] $words[2]" ${twoWords.map(quote).join(" ")}`,
    '    set name "$words[1] $words[2]"',
    "  end",
    '  test "$name" = "$argv[1]"',
    "end",
    "",
    "function __vfio_selftests_devices",
    "  for path in /sys/bus/pci/devices/*",
    "    basename $path",
    "  end",
    "end",
    "",
    "complete -c vfio-selftests -f",
    line("", `-s V -l version -d ${quote("show the version")}`),
    ...groupNames.map((name) => line("", `-a ${name} -d ${quote((groups.get(name) ?? []).join(", "))}`)),
    ...commands.flatMap(({ name, summary }) => {
      const [first = "", second] = name.split(" ");
      return [
        second === undefined
          ? line("", `-a ${first} -d ${quote(summary)}`)
          : line(first, `-a ${second} -d ${quote(summary)}`),
      ];
    }),
    ...commands.flatMap(({ name, options, argument }) => [
      ...options.map((option) => line(name, optionWords(option))),
      ...(argument === undefined || argument.source.kind === "unknown" ? [] : [line(name, values(argument))]),
    ]),
    "",
  ].join("\n");
}

function line(command: string, words: string): string {
  return `complete -c vfio-selftests -n ${quote(`__vfio_selftests_at ${quote(command)}`)} ${words}`;
}

function optionWords({ names, summary, value }: CompletedOption): string {
  const flags = names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  return [...flags, ...(value === undefined ? [] : ["-r", values(value)]), `-d ${quote(summary)}`]
    .filter((word) => word !== "")
    .join(" ");
}

function values({ source }: CompletedValue): string {
  switch (source.kind) {
    case "words":
      return `-a ${quote(source.words.join(" "))}`;
    case "devices":
      return `-a ${quote("(__vfio_selftests_devices)")}`;
    case "folders":
      return `-a ${quote("(__fish_complete_directories)")}`;
    case "files":
      return "-F";
    case "programs":
      return `-F -a ${quote("(__fish_complete_command)")}`;
    case "unknown":
      return "";
  }
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
