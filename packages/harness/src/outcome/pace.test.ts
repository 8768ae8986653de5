import { Pace, timeLeftText } from "./pace";
import { identify } from "./test-identity";

const A = identify(["f", "a"]);
const B = identify(["f", "b"]);

function outcome(test: typeof A, durationMs: number) {
  return { ...test, status: "passed" as const, durationMs, skip: undefined, failures: [], notes: [] };
}

it("knows the time by one duration of an earlier run, or by its own speed", () => {
  const known = new Pace([A, B], { "f.a": 1000 });
  expect(known.isKnown).toBe(true);
  // The other test of the fixture is taken to last as long, and each has some time around it.
  expect(known.timeOf([A, B])).toBe(2060);
  const unknown = new Pace([A, B], { "g.a": 1000 });
  expect(unknown.isKnown).toBe(false);
  unknown.finished({ ...outcome(A, 10_000), repetition: 2 });
  expect(unknown.isKnown).toBe(true);
});

it.each([
  [-1, "0 s left"],
  [1001, "2 s left"],
  [99_000, "99 s left"],
  [150_000, "3 min left"],
])("%d ms are %s", (milliseconds, text) => {
  expect(timeLeftText(milliseconds)).toBe(text);
});
