import type { CampaignLine } from "../campaign/result";
import type { Trial } from "../campaign/trial";
import { type AttemptEnd, attemptsOf, TrialCourse } from "./trial-course";

const passed: AttemptEnd = { kind: "passed" };
const fails: AttemptEnd = { kind: "failed", failure: "expected 1" };
const trial = (number: number, more: Partial<Trial> = {}): Trial => ({ number, tests: ["x.a", "x.b"], of: 2, ...more });

/** Runs trials whose attempts end as `ends` says, by mutant, kind and test; all others pass. */
function follow(
  trials: readonly Trial[],
  ends: Readonly<Record<string, AttemptEnd>>,
  splats: readonly (readonly string[])[] = [],
) {
  const said: CampaignLine[] = [];
  const did: string[] = [];
  let looks = 0;
  const course = new TrialCourse({
    activate: (number) => void did.push(`on ${number}`),
    deactivate: () => void did.push("off"),
    splats: () => splats[looks++] ?? [],
    tell: (line) => void said.push(line),
  });
  for (const attempt of attemptsOf(trials)) {
    if (!course.begin(attempt)) continue;
    const name = `${attempt.trial.number} ${attempt.kind} ${attempt.id}`;
    did.push(name.slice(2));
    course.end(attempt, ends[name] ?? passed);
  }
  course.finish();
  const results = said.flatMap((line) => (line.kind === "result" ? [line.result] : []));
  return { said, did, results };
}

test("a mutant that every test passes by survives, and the next one is tried", () => {
  const { did, results } = follow([trial(1), trial(2)], {});
  const tries = ["try x.a", "try x.b", "off"];
  expect(did).toEqual(["on 1", ...tries, "on 2", ...tries]);
  expect(results.map(({ status }) => status)).toEqual(["survived", "survived"]);
});

test("a mutant is killed by a test that passes without it", () => {
  const { did, results } = follow([trial(1), trial(2)], { "1 try x.a": fails });
  expect(did.slice(0, 5)).toEqual(["on 1", "try x.a", "off", "check x.a", "on 2"]);
  expect(results).toEqual([
    { number: 1, ran: 2, of: 2, status: "killed", by: "x.a", why: "expected 1" },
    { number: 2, ran: 2, of: 2, status: "survived" },
  ]);
});

test("a test that also fails without the mutant ends the process, and wants a new VM", () => {
  const { did, said } = follow([trial(1), trial(2)], { "1 try x.b": fails, "1 check x.b": fails });
  expect(did).toEqual(["on 1", "try x.a", "try x.b", "off", "check x.b"]);
  expect(said.at(-1)).toEqual({ kind: "stale", number: 1, test: "x.b" });
});

test("in a new VM the failure is the mutant's, and what it leaves behind is nobody else's", () => {
  const ends = { "1 try x.b": fails, "1 check x.b": fails };
  const { results } = follow([trial(1, { fresh: true }), trial(2)], ends);
  expect(results).toMatchObject([{ number: 1, status: "killed" }]);
});

test("what the kernel reports counts although every test passes, but not what it reported before", () => {
  const { results } = follow([trial(1), trial(2)], {}, [["WARNING: old"], ["BUG: KASAN: use-after-free"]]);
  expect(results).toMatchObject([{ number: 1, status: "splat", why: "BUG: KASAN: use-after-free" }]);
});

test("a test that is skipped with the mutant is told", () => {
  const { results } = follow([trial(1)], { "1 try x.b": { kind: "skipped" } });
  expect(results).toMatchObject([{ status: "survived", skipped: ["x.b"] }]);
});

test.each([
  ["WARNING: drivers/vfio/group.c:12 at vfio_group_open+0x10/0x20, CPU#0: node/7", [1, 2]],
  ["WARNING: possible recursive locking detected", [1]],
  ["BUG: KASAN: slab-use-after-free in vfio_group_open", [1]],
])("after '%s' and a test that works again, the mutants %j are tried", (splat, tried) => {
  const { results } = follow([trial(1), trial(2)], { "1 try x.a": fails }, [[], [splat]]);
  expect(results[0]).toMatchObject({ status: "killed", why: splat });
  expect(results.map(({ number }) => number)).toEqual(tried);
});
