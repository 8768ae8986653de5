import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";

/** A mutant whose place the kernel has run since the last clear. */
export interface Seen {
  readonly number: number;
  /** Whether the fault would have made a difference. */
  readonly differs: boolean;
}

/** The switch of the running kernel's mutants (kernel/mutants.c). */
export class KernelSwitch {
  readonly #folder: string;

  /** Throws ERR_MUTANTS_KERNEL when the kernel has no mutants, or others than those with the key. */
  constructor(key: string, folder = "/sys/kernel/debug/mutants") {
    this.#folder = folder;
    const file = join(folder, "key");
    const found = existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
    if (found === key) return;
    throw new VfioError(
      found === undefined
        ? `the kernel that runs has no mutants: there is no ${file}`
        : `the kernel that runs has the mutants ${found}, not ${key}`,
      {
        code: "ERR_MUTANTS_KERNEL",
        operation: "lab mutate",
        subject: folder,
        remedy: "build the kernel anew: `vfio-selftests lab mutate --rebuild`",
      },
    );
  }

  activate(number: number): void {
    writeFileSync(join(this.#folder, "active"), String(number));
  }

  deactivate(): void {
    this.activate(0);
  }

  /** The mutants whose places ran since the last call. */
  take(): Seen[] {
    const file = join(this.#folder, "seen");
    const seen = parseSeen(readFileSync(file, "utf8"));
    writeFileSync(file, "0");
    return seen;
  }
}

export function parseSeen(text: string): Seen[] {
  return text.split("\n").flatMap((line) => {
    const [, number, differs] = /^(\d+) ([01])$/.exec(line) ?? [];
    return number === undefined ? [] : [{ number: Number(number), differs: differs === "1" }];
  });
}
