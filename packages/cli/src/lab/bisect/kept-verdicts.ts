import { rmSync } from "node:fs";
import { readJson, writeJson } from "@vfio-selftests/lab";
import type { Commit } from "./git-bisection";
import type { Verdict } from "./verdict";

/** Keeps the verdicts of an interrupted bisection, so that the next one of the same question goes on from there. */
export class KeptVerdicts {
  readonly #path: string;
  readonly #question: string;
  readonly #verdicts: Record<string, Verdict>;

  constructor(path: string, question: string) {
    this.#path = path;
    this.#question = question;
    const kept = readJson(path) as { question?: string; verdicts?: Record<string, Verdict> } | undefined;
    this.#verdicts = kept?.question === question ? (kept.verdicts ?? {}) : {};
  }

  /** Number of kept verdicts. */
  get size(): number {
    return Object.keys(this.#verdicts).length;
  }

  get({ hash }: Commit): Verdict | undefined {
    return this.#verdicts[hash];
  }

  keep({ hash }: Commit, verdict: Verdict): void {
    this.#verdicts[hash] = verdict;
    writeJson(this.#path, { question: this.#question, verdicts: this.#verdicts });
  }

  /** Forgets the verdicts, once the bisection has its answer. */
  forget(): void {
    rmSync(this.#path, { force: true });
  }
}
