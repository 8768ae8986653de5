import { appendFileSync, readFileSync } from "node:fs";
import { KernelWatch } from "@vfio-selftests/harness";
import type { CampaignLine } from "../campaign/result";
import { NEW_VM_STATUS, type TrialPlan } from "../campaign/trial";
import { KernelSwitch } from "./kernel-switch";
import { splatLine } from "./splat-line";
import { runSuites } from "./suite-run";
import { tryInJest } from "./try-in-jest";
import { tryMutants } from "./try-mutants";

/** Milliseconds between signs of life, because the host cannot see whether the VM stands still. */
const HEARTBEAT_MS = 5000;

/** The program in the VM. It tries the mutants of a plan, whose file is its argument. */
async function main(planFile: string): Promise<number> {
  const plan = JSON.parse(readFileSync(planFile, "utf8")) as TrialPlan;
  const kernel = new KernelSwitch(plan.key);
  using watch = new KernelWatch();
  setInterval(() => process.stdout.write("\n"), HEARTBEAT_MS).unref();
  const tell = (line: CampaignLine): void => {
    appendFileSync(plan.lines, `${JSON.stringify(line)}\n`);
    // The host follows the output.
    process.stdout.write(`${JSON.stringify(line)}\n`);
  };
  const fit =
    plan.environmentVariable === undefined
      ? await tryMutants(
          {
            activate: (number) => kernel.activate(number),
            deactivate: () => kernel.deactivate(),
            run: async (tests) => runSuites(plan, tests),
            splats: () => watch.take().reports.map(splatLine),
            tell,
          },
          plan,
        )
      : await tryInJest(plan, tell);
  return fit ? 0 : NEW_VM_STATUS;
}

void main(process.argv[2] ?? "").then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
