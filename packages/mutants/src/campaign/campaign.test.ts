import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readResults, tryAll, type VmEnd } from "./campaign";
import type { CampaignLine, MutantResult } from "./result";
import type { Trial } from "./trial";

let folder = "";
let lines = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "campaign-"));
  lines = join(folder, "results.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true }));

const trial = (number: number): Trial => ({ number, tests: ["a.b"], of: 1 });
const start = (number: number): CampaignLine => ({ kind: "start", number, tests: 1 });
const result = (number: number, status: MutantResult["status"]): CampaignLine => ({
  kind: "result",
  result: { number, status },
});

/** VMs that write these lines and end like this, one after the other. */
function rig(...vms: readonly { says: readonly CampaignLine[]; end?: VmEnd }[]) {
  const queues: (readonly Trial[])[] = [];
  return {
    queues,
    lines,
    runVm(queue: readonly Trial[]): Promise<VmEnd> {
      queues.push(queue);
      const { says = [], end = { kind: "done" } } = vms[queues.length - 1] ?? {};
      for (const line of says) appendFileSync(lines, `${JSON.stringify(line)}\n`);
      return Promise.resolve(end);
    },
  };
}

const statuses = (): Record<number, string> =>
  Object.fromEntries([...readResults(lines)].map(([number, { status }]) => [number, status]));

test("one VM tries as many as it can, the next goes on", async () => {
  const vms = rig(
    { says: [start(1), result(1, "killed"), start(2), result(2, "splat")] },
    { says: [start(3), result(3, "survived")] },
  );
  expect(await tryAll(vms, [1, 2, 3].map(trial))).toBe(true);
  expect(vms.queues.map((queue) => queue.map(({ number }) => number))).toEqual([[1, 2, 3], [3]]);
  expect(statuses()).toEqual({ 1: "killed", 2: "splat", 3: "survived" });
});

test("a mutant that crashes a VM in which others ran is tried alone before it is blamed", async () => {
  const lost: VmEnd = { kind: "lost", why: "Kernel panic" };
  const vms = rig(
    { says: [start(1), result(1, "survived"), start(2)], end: lost },
    { says: [start(3), result(3, "killed")] },
    { says: [start(2)], end: lost },
  );
  expect(await tryAll(vms, [1, 2, 3].map(trial))).toBe(true);
  expect(vms.queues.map((queue) => queue.map(({ number, fresh }) => [number, fresh]))).toEqual([
    [1, 2, 3].map((number) => [number, undefined]),
    [[3, undefined]],
    [[2, true]],
  ]);
  expect(statuses()).toEqual({ 1: "survived", 2: "crashed", 3: "killed" });
});

test("a VM that says nothing any more is a mutant that timed out", async () => {
  await tryAll(rig({ says: [start(1)], end: { kind: "silent" } }), [trial(1)]);
  expect(statuses()).toEqual({ 1: "timed-out" });
});

test("a mutant whose test fails also without it is the first in a new VM", async () => {
  const vms = rig(
    { says: [start(1), result(1, "survived"), start(2), { kind: "stale", number: 2, test: "a.b" }] },
    { says: [start(2), result(2, "killed"), start(3), result(3, "killed")] },
  );
  await tryAll(vms, [1, 2, 3].map(trial));
  expect(vms.queues[1]?.map(({ number }) => number)).toEqual([2, 3]);
});

test("an interrupt keeps what was measured", async () => {
  const vms = rig({ says: [start(1), result(1, "killed"), start(2)], end: { kind: "interrupted" } });
  expect(await tryAll(vms, [1, 2].map(trial))).toBe(false);
  appendFileSync(lines, '{"kind":"result","resu');
  expect(statuses()).toEqual({ 1: "killed" });
});

test("VMs that try nothing end the campaign", async () => {
  const nothing = { says: [], end: { kind: "lost", why: "no init" } as const };
  await expect(tryAll(rig(nothing, nothing, nothing), [trial(1)])).rejects.toMatchObject({
    code: "ERR_LAB_GUEST_LOST",
    message: expect.stringContaining("no init") as string,
  });
});
