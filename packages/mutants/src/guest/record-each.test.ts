import type { TestReach } from "../campaign/test-reach";
import type { Seen } from "./kernel-switch";
import { recordEach } from "./record-each";

test("each test gets what was passed while it ran, and no more", async () => {
  let seen: Seen[] = [{ number: 9, differs: true }];
  const passes: Record<string, Seen[]> = {
    "a.one": [{ number: 2, differs: false }],
    "a.two": [
      { number: 3, differs: true },
      { number: 1, differs: true },
    ],
    "a.none": [],
  };
  const records: TestReach[] = [];
  await recordEach(
    {
      take: () => seen.splice(0),
      run(test) {
        seen = passes[test] ?? [];
        return Promise.resolve(
          test === "a.two" ? { kind: "hung", test } : { kind: "passed", skipped: test === "a.none" ? [test] : [] },
        );
      },
      tell: (record) => void records.push(record),
    },
    Object.keys(passes),
  );
  expect(records).toMatchObject([
    { test: "a.one", status: "passed", reached: [2], differs: [] },
    { test: "a.two", status: "failed", reached: [], differs: [1, 3] },
    { test: "a.none", status: "skipped", reached: [], differs: [] },
  ]);
});
