import type { CampaignLine } from "../campaign/result";
import type { Trial } from "../campaign/trial";
import type { SuiteVerdict } from "./suite-run";
import { tryMutants } from "./try-mutants";

const passed: SuiteVerdict = { kind: "passed", skipped: [] };
const fails = (test: string): SuiteVerdict => ({ kind: "failed", test, failure: "expected 1" });

/** A VM in which each run of tests gives the next verdict, and the kernel reports what it is told to. */
function vm(verdicts: readonly SuiteVerdict[], splats: readonly (readonly string[])[] = []) {
  const said: CampaignLine[] = [];
  const did: string[] = [];
  let runs = 0;
  let looks = 0;
  return {
    said,
    did,
    activate: (number: number) => void did.push(`on ${number}`),
    deactivate: () => void did.push("off"),
    run(tests: readonly string[]): Promise<SuiteVerdict> {
      did.push(tests.join(" "));
      return Promise.resolve(verdicts[runs++] ?? passed);
    },
    splats: () => splats[looks++] ?? [],
    tell: (line: CampaignLine) => void said.push(line),
  };
}

const trial = (number: number, more: Partial<Trial> = {}): Trial => ({ number, tests: ["x.a", "x.b"], of: 2, ...more });
const results = (said: readonly CampaignLine[]) =>
  said.flatMap((line) => (line.kind === "result" ? [line.result] : []));

test("a mutant that every test passes by survives, and the next one is tried", async () => {
  const rig = vm([]);
  expect(await tryMutants(rig, { trials: [trial(1), trial(2)] })).toBe(true);
  expect(rig.did).toEqual(["on 1", "x.a x.b", "off", "on 2", "x.a x.b", "off"]);
  expect(results(rig.said).map(({ status }) => status)).toEqual(["survived", "survived"]);
});

test("a mutant is killed by a test that passes without it", async () => {
  const rig = vm([fails("x.b"), passed]);
  expect(await tryMutants(rig, { trials: [trial(1)] })).toBe(true);
  expect(rig.did).toEqual(["on 1", "x.a x.b", "off", "x.b"]);
  expect(results(rig.said)).toEqual([{ number: 1, ran: 2, of: 2, status: "killed", by: "x.b", why: "expected 1" }]);
});

test("a test that also fails without the mutant wants a new VM", async () => {
  const rig = vm([fails("x.b"), fails("x.b")]);
  expect(await tryMutants(rig, { trials: [trial(1), trial(2)] })).toBe(false);
  expect(rig.said.at(-1)).toEqual({ kind: "stale", number: 1, test: "x.b" });
});

test("in a new VM the failure is the mutant's, and what it leaves behind is nobody else's", async () => {
  const rig = vm([fails("x.b"), fails("x.b")]);
  expect(await tryMutants(rig, { trials: [trial(1, { fresh: true }), trial(2)] })).toBe(false);
  expect(results(rig.said)).toMatchObject([{ number: 1, status: "killed" }]);
});

test("what the kernel reports counts although every test passes, but not what it reported before", async () => {
  const rig = vm([], [["WARNING: old"], ["BUG: KASAN: use-after-free"]]);
  expect(await tryMutants(rig, { trials: [trial(1), trial(2)] })).toBe(false);
  expect(results(rig.said)).toMatchObject([{ status: "splat", why: "BUG: KASAN: use-after-free" }]);
});

test("tests that hang are told with the test that ran", async () => {
  const rig = vm([{ kind: "hung", test: "x.a" }]);
  expect(await tryMutants(rig, { trials: [trial(1), trial(2)] })).toBe(false);
  expect(results(rig.said)).toMatchObject([{ status: "timed-out", by: "x.a" }]);
});
