import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CampaignLine, parseCampaignLines } from "../campaign/result";
import { type Trial, TRIAL_PLAN, type TrialPlan } from "../campaign/trial";

/** Tests of one process at most: jest keeps something of each. */
const MOST_TESTS = 2000;
/** Milliseconds in which a process comes to its first test: jest and the suites load, on an emulated machine that may be busy. */
const LOADING_MS = 900_000;

/** Tries mutants, many in each process. Gives whether the VM is fit for more. */
export async function tryInJest(plan: TrialPlan, tell: (line: CampaignLine) => void): Promise<boolean> {
  for (const trials of batchesOf(plan.trials)) {
    const before = linesOf(plan).length;
    const heard = await runProcess({ ...plan, trials });
    const lines = linesOf(plan).slice(before);
    const last = lines.at(-1);
    if (last?.kind === "start") {
      const { number, tests } = last;
      const of = trials.find((trial) => trial.number === number)?.of ?? tests;
      const why = heard ? "the process was ended in the middle of a test" : "nothing was heard of the tests any more";
      tell({ kind: "result", result: { number, status: "timed-out", why, ran: tests, of } });
      return false;
    }
    // It stopped where the VM had seen too much.
    if (lines.filter(({ kind }) => kind === "result").length < trials.length) return false;
  }
  return true;
}

/** Parts whose tests one process may run. */
export function batchesOf(trials: readonly Trial[], most = MOST_TESTS): Trial[][] {
  const batches: Trial[][] = [];
  let room = 0;
  for (const trial of trials) {
    const batch = batches.at(-1);
    if (batch !== undefined && trial.tests.length <= room) batch.push(trial);
    else {
      batches.push([trial]);
      room = most;
    }
    room -= trial.tests.length;
  }
  return batches;
}

/** Runs one process to its end. False: nothing was heard of it for too long. */
async function runProcess(plan: TrialPlan): Promise<boolean> {
  const { command, silenceMs, environmentVariable = "" } = plan;
  const planFile = join(tmpdir(), `mutants-plan-${process.pid}.json`);
  writeFileSync(planFile, JSON.stringify(plan));
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
    env: {
      ...process.env,
      [environmentVariable]: require.resolve("./trying-environment.js"),
      [TRIAL_PLAN]: planFile,
    },
  });
  let silent = (): void => undefined;
  const silence = new Promise<false>((resolve) => (silent = () => resolve(false)));
  let timer = setTimeout(silent, LOADING_MS);
  child.stdout.on("data", () => {
    clearTimeout(timer);
    timer = setTimeout(silent, silenceMs);
  });
  try {
    const exited = once(child, "exit").then(() => true);
    return await Promise.race([exited, silence]);
  } finally {
    clearTimeout(timer);
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }
}

function linesOf({ lines }: TrialPlan): CampaignLine[] {
  try {
    return parseCampaignLines(readFileSync(lines, "utf8"));
  } catch {
    return [];
  }
}
