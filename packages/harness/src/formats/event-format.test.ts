import fc from "fast-check";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { eventFormat, eventLine, parseEvent } from "./event-format";
import type { RunPlan } from "./report-format";

const TEST: TestOutcome = {
  ...identify(["0000:01:00.0", "vfio_cdev", "iommufd", "bind"]),
  status: "failed",
  durationMs: 12,
  skip: undefined,
  failures: ["Error: two\nlines"],
  notes: ["a note"],
};
const PLAN: RunPlan = { headline: ["h"], size: { tests: 1, cases: 1 }, defaultMode: "iommufd", device: undefined };

test("a reader of the lines gets the run as it was", () => {
  let text = "";
  const format = eventFormat({ write: (part) => (text += part), interactive: false }, PLAN);
  format.started?.(TEST);
  format.finished?.(TEST);
  format.end({ tests: [TEST], errors: ["outside"], durationMs: 40 });
  expect(text.trimEnd().split("\n").map(parseEvent)).toEqual([
    { kind: "plan", plan: PLAN },
    { kind: "started", test: TEST },
    { kind: "finished", test: TEST },
    { kind: "end", run: { errors: ["outside"], durationMs: 40 } },
  ]);
});

test("what a test prints is no event, also on the same line", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("{", "}", '"', "k", " ") }), (printed) => {
      expect(parseEvent(printed)).toBeUndefined();
      const event = { kind: "refused", message: "no", exitCode: 1 } as const;
      expect(parseEvent(printed + eventLine(event).trimEnd())).toEqual(event);
    }),
  );
});
