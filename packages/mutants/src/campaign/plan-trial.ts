import { identify } from "@vfio-selftests/harness";
import type { Mutant } from "../source/mutant";
import type { ReachTable } from "./reach";
import type { Trial } from "./trial";

/** How much a trial may cost. */
export interface TrialLimits {
  readonly mostTests?: number | undefined;
  /** What the tests of one mutant may take together, by the time that each took without it. One test runs in any case. */
  readonly mostMs?: number | undefined;
}

/** Where tests noticed mutants so far. */
export interface KilledMutant {
  readonly file: string;
  readonly function: string;
  readonly by: string;
}

type Place = Pick<Mutant, "number" | "file" | "function">;

/**
 * Plans trials. A mutant's tests come in the order in which they are likely to notice it: those that noticed another mutant of its
 * function or its file, then those that do little beside what is in its function, of each kind of test one before the second.
 */
export class TrialPlanner {
  readonly #reach: ReachTable;
  readonly #limits: TrialLimits;
  readonly #functions = new Map<string, number[]>();

  constructor(reach: ReachTable, mutants: readonly Place[], limits: TrialLimits = {}) {
    this.#reach = reach;
    this.#limits = limits;
    for (const mutant of mutants) {
      const place = placeOf(mutant);
      const numbers = this.#functions.get(place);
      if (numbers === undefined) this.#functions.set(place, [mutant.number]);
      else numbers.push(mutant.number);
    }
  }

  plan(mutant: Place, killed: readonly KilledMutant[]): Trial {
    const tests = this.#ordered(mutant, killed);
    return { number: mutant.number, tests: this.#limited(tests), of: tests.length };
  }

  #ordered(mutant: Place, killed: readonly KilledMutant[]): string[] {
    const inFile = killed.filter(({ file }) => file === mutant.file);
    const inFunction = inFile.filter(({ function: name }) => name === mutant.function);
    const around = this.#functions.get(placeOf(mutant)) ?? [];
    const ranked = this.#reach.noticers(mutant.number).map((test) => ({
      test,
      kills: [countBy(inFunction, test), countBy(inFile, test)] as const,
      share: this.#reach.share(test, around),
    }));
    // The sort keeps the fastest first among equals.
    ranked.sort((a, b) => b.kills[0] - a.kills[0] || b.kills[1] - a.kills[1] || b.share - a.share);
    const killers = ranked.filter(({ kills }) => kills[1] > 0).map(({ test }) => test);
    return [...killers, ...kindByKind(ranked.filter(({ kills }) => kills[1] === 0).map(({ test }) => test))];
  }

  #limited(tests: readonly string[]): string[] {
    const { mostTests = Infinity, mostMs = Infinity } = this.#limits;
    const taken: string[] = [];
    let left = mostMs;
    for (const test of tests) {
      if (taken.length === mostTests) break;
      const ms = this.#reach.durationMs(test);
      if (taken.length > 0 && ms > left) continue;
      taken.push(test);
      left -= ms;
    }
    return taken;
  }
}

function placeOf({ file, function: name }: Place): string {
  return `${file}\n${name}`;
}

function countBy(killed: readonly KilledMutant[], test: string): number {
  return killed.filter(({ by }) => by === test).length;
}

/** One of each kind, then the second of each, …. A kind is a fixture; the same test in another mode is the same. */
function kindByKind(tests: readonly string[]): string[] {
  const turns = new Map<string, number>();
  const dealt = tests.map((test) => {
    const { mode, id } = identify(test.split("."));
    const same = mode === undefined ? id : id.replace(mode, "");
    const [fixture = ""] = id.split(".", 1);
    const twin = turns.get(same) ?? 0;
    turns.set(same, twin + 1);
    const turn = turns.get(`of ${fixture}`) ?? 0;
    turns.set(`of ${fixture}`, turn + 1);
    return { test, round: twin * tests.length + turn };
  });
  return dealt.sort((a, b) => a.round - b.round).map(({ test }) => test);
}
