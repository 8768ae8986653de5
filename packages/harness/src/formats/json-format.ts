import { exitCodeOf, totalsOf } from "../outcome/run-outcome";
import type { ReportFormatFactory } from "./report-format";

/** One JSON object for the whole run. Fields that do not apply are absent. */
export const jsonFormat: ReportFormatFactory = (sink, plan) => ({
  end(run) {
    const report = {
      target: plan.headline,
      durationMs: run.durationMs,
      totals: totalsOf(run.tests),
      exitCode: exitCodeOf(run),
      errors: run.errors,
      notes: run.notes?.length === 0 ? undefined : run.notes,
      tests: run.tests.map((test) => ({
        id: test.id,
        device: test.device ?? plan.device,
        mode: test.mode ?? plan.defaultMode,
        status: test.status,
        repetition: test.repetition,
        durationMs: test.durationMs,
        skip: test.skip,
        failures: test.failures.length > 0 ? test.failures : undefined,
        notes: test.notes.length > 0 ? test.notes : undefined,
      })),
    };
    sink.write(`${JSON.stringify(report, undefined, 2)}\n`);
  },
});
