import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import { type CampaignLine, type MutantResult, parseCampaignLines } from "./result";
import type { Trial } from "./trial";

/** How a VM ended. */
export type VmEnd =
  /** The VM made all trials, or is not fit for more. */
  | { readonly kind: "done" }
  /** The kernel went down. */
  | { readonly kind: "lost"; readonly why: string }
  /** The VM gave no sign of life. */
  | { readonly kind: "silent" }
  /** Somebody wants the campaign to end. */
  | { readonly kind: "interrupted" };

export interface CampaignRig {
  /** Makes the trials in a new VM, which appends their results to the file `lines`. */
  runVm(trials: readonly Trial[]): Promise<VmEnd>;
  /** The file that keeps the results. */
  readonly lines: string;
  onResult?(result: MutantResult): void;
}

/** How many VMs in a row may end without having tried anything. */
const MOST_IDLE_VMS = 3;

/** The results so far, by mutant. A later line replaces an earlier one. */
export function readResults(file: string): Map<number, MutantResult> {
  const lines = existsSync(file) ? parseCampaignLines(readFileSync(file, "utf8")) : [];
  return new Map(lines.flatMap((line) => (line.kind === "result" ? [[line.result.number, line.result]] : [])));
}

/**
 * Tries mutants in as few VMs as they allow. A mutant that takes the VM down is tried again in a VM of its own, after all others,
 * because those before it may be to blame. Resolves with whether all were tried.
 */
export async function tryAll(rig: CampaignRig, trials: readonly Trial[]): Promise<boolean> {
  let queue: readonly Trial[] = trials;
  const down: Trial[] = [];
  let idle = 0;
  for (;;) {
    if (queue.length === 0) queue = down.splice(0, 1);
    if (queue.length === 0) return true;
    const before = readLines(rig.lines).length;
    const end = await rig.runVm(queue);
    const lines = readLines(rig.lines).slice(before);
    const ended = settle(rig, queue, lines, end);
    idle = ended.tried ? 0 : idle + 1;
    if (end.kind === "interrupted") return false;
    if (idle === MOST_IDLE_VMS) throw nothingTried(end);
    queue = ended.left;
    if (ended.down !== undefined) down.push(ended.down);
  }
}

/** Records the results of a VM. Returns what is left to try, and what took the VM down beside it. */
function settle(
  rig: CampaignRig,
  queue: readonly Trial[],
  lines: readonly CampaignLine[],
  end: VmEnd,
): { left: readonly Trial[]; down: Trial | undefined; tried: boolean } {
  const done = new Set<number>();
  const again = new Set<number>();
  let running: number | undefined;
  let down: Trial | undefined;
  let started = 0;
  for (const line of lines) {
    if (line.kind === "start") {
      running = line.number;
      started += 1;
    } else {
      running = undefined;
      if (line.kind === "stale") again.add(line.number);
      else {
        done.add(line.result.number);
        rig.onResult?.(line.result);
      }
    }
  }
  if (running !== undefined && (end.kind === "lost" || end.kind === "silent")) {
    const trial = queue.find(({ number }) => number === running);
    if (started > 1 && trial !== undefined && trial.fresh !== true) down = { ...trial, fresh: true };
    else {
      const result = downResult(running, trial, end);
      appendFileSync(rig.lines, `${JSON.stringify({ kind: "result", result } satisfies CampaignLine)}\n`);
      done.add(running);
      rig.onResult?.(result);
    }
  }
  const freshFirst = queue.filter(({ number }) => again.has(number)).map((trial) => ({ ...trial, fresh: true }));
  const rest = queue.filter(({ number }) => !done.has(number) && !again.has(number) && number !== down?.number);
  return { left: [...freshFirst, ...rest], down, tried: done.size + again.size > 0 || down !== undefined };
}

function downResult(number: number, trial: Trial | undefined, end: VmEnd): MutantResult {
  const counts = { ran: trial?.tests.length ?? 0, of: trial?.of ?? 0 };
  if (end.kind === "lost") return { number, status: "crashed", why: end.why, ...counts };
  return { number, status: "timed-out", why: "nothing was heard of the VM any more", ...counts };
}

function readLines(file: string): CampaignLine[] {
  return existsSync(file) ? parseCampaignLines(readFileSync(file, "utf8")) : [];
}

function nothingTried(end: VmEnd): VfioError {
  return new VfioError(
    `the VM tried no mutant, ${MOST_IDLE_VMS} times over${end.kind === "lost" ? `: ${end.why}` : ""}`,
    {
      code: "ERR_LAB_GUEST_LOST",
      operation: "lab mutate",
      remedy: "look at its console: `vfio-selftests lab mutate --console`",
    },
  );
}
