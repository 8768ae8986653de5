import { randomBytes } from "node:crypto";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { systemError, systemResult } from "@vfio-selftests/core/errors";
import { makeFolder, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { Guardian } from "./guardian";
import { processIdentity } from "./process-identity";
import { applyUndo, undoLine, type UndoWrite } from "./undo-write";

/** Name of the folder with the journals of all processes, below {@link SystemPaths.runtime}. */
export const JOURNALS = "changes";

/**
 * What this process has changed on the machine and must put back. While there is such a change, a journal says how to
 * undo it, and a guardian process does so should this process die.
 */
export class MachineChanges {
  static readonly #byPaths = new WeakMap<SystemPaths, MachineChanges>();
  readonly #paths: SystemPaths;
  #journal: string;
  /** Oldest first. */
  readonly #changes: (readonly UndoWrite[])[] = [];
  #guardian: Guardian | undefined;

  /** The one instance for a tree of paths, so that there is one order in which changes go back. */
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

  /** Call this before the change. Returns a function that puts it back, in the order of the steps. */
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
      // A change is forgotten only when it is undone: should a step fail or the process die here, the guardian takes
      // over.
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
    // A slow guardian must not find the next guardian's journal in the place of its own.
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
      makeFolder(directory, 0o700);
    } catch (cause) {
      throw systemError(systemResult(cause), "record a change", {
        message: `cannot make ${directory}, which says what to put back after a crash`,
        subject: directory,
        remedy: "run as root, or let XDG_RUNTIME_DIR name a folder of yours",
        cause,
      });
    }
  }

  /** Writes the journal whole or not at all, with the newest change first: the order of the steps back. */
  #save(): void {
    this.#makeDirectory();
    const lines = this.#changes.toReversed().flatMap((undo) => undo.map(undoLine));
    const draft = `${this.#journal}.new`;
    writeFileSync(draft, `${lines.join("\n")}\n`, { mode: 0o600 });
    renameSync(draft, this.#journal);
  }
}
