import { totalsOf } from "../outcome/run-outcome";
import type { SkipReason } from "../outcome/skip";
import type { ReportFormatFactory } from "./report-format";

/**
 * TAP version 13, line-compatible with the kernel's C harness (tools/testing/selftests/kselftest_harness.h and
 * kselftest.h): what parses the C suite's output parses this. We only add comment lines (`# …`).
 */
export const tapFormat: ReportFormatFactory = (sink, plan) => {
  const line = (text: string) => sink.write(`${text}\n`);
  let number = 0;
  let device: string | undefined;

  line("TAP version 13");
  if (plan.size !== undefined) {
    line(`1..${plan.size.tests}`);
    line(`# Starting ${plan.size.tests} tests from ${plan.size.cases} test cases.`);
  }
  for (const headline of plan.headline) line(`# ${headline}`);

  return {
    started(test) {
      if (test.device !== device) line(`# device ${test.device ?? ""}`);
      device = test.device;
      line(`#  RUN           ${test.id} ...`);
    },
    finished(test) {
      number += 1;
      if (test.repetition !== undefined) line(`# repetition ${test.repetition}`);
      for (const note of test.notes) line(comment(note));
      for (const failure of test.failures) line(comment(failure));
      // The C harness says OK for a skipped test, too.
      if (test.skip !== undefined) line(`#      SKIP      ${skipLine(test.skip)}`);
      line(`#          ${test.status === "failed" ? "FAIL" : "  OK"}  ${test.id}`);
      const directive = test.skip === undefined ? "" : ` # SKIP ${skipLine(test.skip)}`;
      line(`${test.status === "failed" ? "not ok" : "ok"} ${number} ${test.id}${directive}`);
    },
    end(run) {
      const { passed, failed, skipped } = totalsOf(run.tests);
      if (plan.size === undefined) line(`1..${number}`);
      for (const note of run.notes ?? []) line(comment(note));
      for (const error of run.errors) line(comment(`outside any test: ${error}`));
      const good = failed === 0 && run.errors.length === 0;
      line(`# ${good ? "PASSED" : "FAILED"}: ${passed + skipped} / ${number} tests passed.`);
      if (plan.size !== undefined && plan.size.tests !== number) {
        line(`# Planned tests != run tests (${plan.size.tests} != ${number})`);
      }
      line(`# Totals: pass:${passed} fail:${failed} xfail:0 xpass:0 skip:${skipped} error:${run.errors.length}`);
    },
  };
};

function comment(text: string): string {
  return text.replace(/^/gm, "# ");
}

function skipLine({ reason, remedy }: SkipReason): string {
  return `${reason} (remedy: ${remedy})`.replace(/\s*\n\s*/g, " ");
}
