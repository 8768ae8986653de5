import { randomBytes } from "node:crypto";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { systemError, systemResult } from "@vfio-selftests/core/errors";
import { type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { Guardian } from "./guardian";
import { processIdentity } from "./process-identity";
import { applyUndo, undoLine, type UndoWrite } from "./undo-write";

/** Name of the folder with the journals of all processes, below {@link SystemPaths.runtime}. */
export const JOURNALS = "changes";

/**
 * What this process has changed on the machine and must put back. While there is such a change, a journal says how, and a
 * guardian process puts it back should this process die.
 */
export class MachineChanges {
  static readonly #byPaths = new WeakMap<SystemPaths, MachineChanges>();
  readonly #paths: SystemPaths;
  #journal: string;
  /** Oldest first. */
  readonly #changes: (readonly UndoWrite[])[] = [];
  #guardian: Guardian | undefined;

  /** One for each tree of paths: there is one order in which changes are put back. */
  static on(paths: SystemPaths = systemPaths): MachineChanges {
    const existing = this.#byPaths.get(paths);
    if (existing !== undefined) return existing;
    const created = new MachineChanges(paths);
    this.#byPaths.set(paths, created);
    return created;
  }

  private constructor(paths: SystemPaths) {
    this.#paths = paths;
    this.#journal = this.#newJournal();
  }

  /** Call before the change; gives what puts it back, in the order of the steps. */
  record(undo: readonly UndoWrite[]): () => void {
    this.#changes.push(undo);
    try {
      this.#save();
      this.#guardian ??= new Guardian(this.#journal);
    } catch (error) {
      this.#forget(undo);
      throw error;
    }
    return () => {
      if (!this.#changes.includes(undo)) return;
      // Forgotten only when done: should a step fail or the process die here, the guardian takes over.
      for (const step of undo) applyUndo(step);
      this.#forget(undo);
    };
  }

  #forget(undo: readonly UndoWrite[]): void {
    this.#changes.splice(this.#changes.indexOf(undo), 1);
    if (this.#changes.length > 0) {
      this.#save();
      return;
    }
    rmSync(this.#journal, { force: true });
    this.#guardian?.dismiss();
    this.#guardian = undefined;
    // The guardian may be slow to look for its journal: it must not find the next guardian's.
    this.#journal = this.#newJournal();
  }

  #newJournal(): string {
    // Random, because jest gives each test file its own copy of this module in the same process.
    const name = `${processIdentity(process.pid) ?? process.pid}-${randomBytes(4).toString("hex")}`;
    return this.#paths.runtime(JOURNALS, name);
  }

  #makeDirectory(): void {
    const directory = dirname(this.#journal);
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw systemError(systemResult(cause), "record a change", {
        message: `cannot make ${directory}, which tells what to put back after a crash`,
        subject: directory,
        remedy: "run as root, or let XDG_RUNTIME_DIR name a folder of yours",
        cause,
      });
    }
  }

  /** Whole or not at all; in the order of the steps back: the newest change first. */
  #save(): void {
    this.#makeDirectory();
    const lines = this.#changes.toReversed().flatMap((undo) => undo.map(undoLine));
    const draft = `${this.#journal}.new`;
    writeFileSync(draft, `${lines.join("\n")}\n`, { mode: 0o600 });
    renameSync(draft, this.#journal);
  }
}
