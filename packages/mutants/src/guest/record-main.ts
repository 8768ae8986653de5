import { appendFileSync, readFileSync } from "node:fs";
import type { RecordPlan } from "../campaign/trial";
import { KernelSwitch } from "./kernel-switch";
import { recordEach } from "./record-each";
import { runSuites } from "./suite-run";

/** The program in the VM that records tests one by one. The plan's file is its argument. */
async function main(planFile: string): Promise<void> {
  const plan = JSON.parse(readFileSync(planFile, "utf8")) as RecordPlan;
  const kernel = new KernelSwitch(plan.key);
  await recordEach(
    {
      take: () => kernel.take(),
      run: async (test) => runSuites(plan, [test]),
      tell(record) {
        appendFileSync(plan.file, `${JSON.stringify(record)}\n`);
        process.stdout.write(`${record.status} ${record.test}\n`);
      },
    },
    plan.tests,
  );
}

void main(process.argv[2] ?? "").then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);
