import { autoMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { KERNEL_VARIANTS, LAB_DEVICES } from "@vfio-selftests/lab";
import type { ArgumentSpec, CommandEntry } from "../options/command";
import { type AnyOption, optionNames, placeholder } from "../options/option";

/** Where a shell finds the values of an option or argument. */
export type ValueSource =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" | "folders" | "devices" | "programs" | "unknown" };

export interface CompletedValue {
  readonly name: string;
  /** Whether more values follow the first, or stand behind commas. */
  readonly several: boolean;
  readonly source: ValueSource;
}

export interface CompletedOption {
  /** `-d` and `--device`. */
  readonly names: readonly string[];
  readonly summary: string;
  readonly repeatable: boolean;
  /** Undefined for a flag. */
  readonly value: CompletedValue | undefined;
}

/** What a shell has to know of a command to complete its line. */
export interface CompletedCommand {
  /** `list`, `lab run`. */
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CompletedOption[];
  readonly argument: CompletedValue | undefined;
}

const UNKNOWN: ValueSource = { kind: "unknown" };

/** By the name that help gives to the value. A name that is not here stands for a value that no shell can know. */
const SOURCES: Readonly<Record<string, ValueSource>> = {
  device: { kind: "devices" },
  address: { kind: "devices" },
  file: { kind: "files" },
  image: { kind: "files" },
  path: { kind: "files" },
  model: { kind: "files" },
  folder: { kind: "folders" },
  tree: { kind: "folders" },
  command: { kind: "programs" },
  mode: { kind: "words", words: [...iommuModes, autoMode].map(({ name }) => name) },
  variant: { kind: "words", words: KERNEL_VARIANTS.map(({ name }) => name) },
  // Those that need no argument of their own.
  "lab-device": {
    kind: "words",
    words: LAB_DEVICES.filter(({ argument }) => argument === undefined).map(({ name }) => name),
  },
};

const HELP: CompletedOption = {
  names: ["-h", "--help"],
  summary: "show the options",
  repeatable: false,
  value: undefined,
};

/** What a shell has to know of these commands, from the tables that the parser reads. */
export function completedCommands(entries: readonly CommandEntry[]): Promise<readonly CompletedCommand[]> {
  return Promise.all(
    entries.map(async (entry) => {
      const { name, summary } = entry;
      const { argument, options } = await entry.load();
      return {
        name,
        summary,
        options: [...Object.values(options).map(completedOption), HELP],
        argument: argument === undefined ? undefined : completedArgument(argument),
      };
    }),
  );
}

/** The second words of two-word commands, by the first: `lab` has `setup`, `run`, … */
export function commandGroups(commands: readonly CompletedCommand[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { name } of commands) {
    const [first = "", second] = name.split(" ");
    if (second !== undefined) groups.set(first, [...(groups.get(first) ?? []), second]);
  }
  return groups;
}

function completedOption(spec: AnyOption): CompletedOption {
  const { summary, choices, repeatable = false } = spec;
  const name = placeholder(spec.flags);
  return {
    names: optionNames(spec),
    summary,
    repeatable,
    value: name === undefined ? undefined : { ...valueOf(name, choices), several: repeatable },
  };
}

function completedArgument({ usage, choices }: ArgumentSpec): CompletedValue {
  return valueOf(placeholder(usage) ?? usage, choices);
}

function valueOf(name: string, choices: readonly string[] | undefined): CompletedValue {
  const plain = name.replace(/\.\.\.$/, "");
  const source: ValueSource = choices === undefined ? (SOURCES[plain] ?? UNKNOWN) : { kind: "words", words: choices };
  return { name: plain, several: plain !== name, source };
}
