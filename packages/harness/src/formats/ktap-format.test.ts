import fc from "fast-check";
import type { RunOutcome } from "../outcome/run-outcome";
import { identify } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { ktapFormat } from "./ktap-format";
import type { RunPlan } from "./report-format";
import { leavesOf, parseKtap } from "./testing/parse-ktap";

const PLAN: RunPlan = { headline: ["Device 0000:01:00.0"], size: undefined, defaultMode: "iommufd", device: undefined };

function outcome(titles: readonly string[], fields: Partial<TestOutcome> = {}): TestOutcome {
  const none = { skip: undefined, failures: [], notes: [] };
  return { ...identify(titles), status: "passed", durationMs: 12, ...none, ...fields };
}

function report(tests: readonly TestOutcome[], run: Partial<RunOutcome> = {}, plan = PLAN): string {
  let text = "";
  ktapFormat({ write: (part) => (text += part), interactive: false }, plan).end({
    ...{ tests, errors: [], durationMs: 1, ...run },
  });
  return text;
}

const SKIPPED = { status: "skipped", skip: { reason: "no free 1 GiB huge page", remedy: "reserve one" } } as const;

it("nests by suite and variant, with reasons, and the parts' verdict", () => {
  const tests = [
    outcome(["vfio_dma_mapping_test", "iommufd_anonymous", "dma_map_unmap"], { notes: ["not checked: page size"] }),
    outcome(["vfio_cdev", "bind"], { status: "failed", failures: ["Error: EBUSY\nSubtest: no header"] }),
    outcome(["vfio_dma_mapping_test", "iommufd_anonymous_hugetlb_1gb", "dma_map_unmap"], SKIPPED),
    outcome(["vfio_dma_mapping_test", "iommufd_anonymous", "overflow"]),
  ];
  expect(report(tests, { notes: ["3 of 4 tests did not run"] })).toBe(`KTAP version 1
1..2
# Device 0000:01:00.0
  KTAP version 1
  # Subtest: vfio_dma_mapping_test
  1..2
    KTAP version 1
    # Subtest: vfio_dma_mapping_test.iommufd_anonymous
    1..2
    #   not checked: page size
    ok 1 vfio_dma_mapping_test.iommufd_anonymous.dma_map_unmap
    ok 2 vfio_dma_mapping_test.iommufd_anonymous.overflow
  ok 1 vfio_dma_mapping_test.iommufd_anonymous
    KTAP version 1
    # Subtest: vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb
    1..1
    #   remedy: reserve one
    ok 1 vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb.dma_map_unmap # SKIP no free 1 GiB huge page
  ok 2 vfio_dma_mapping_test.iommufd_anonymous_hugetlb_1gb # SKIP
ok 1 vfio_dma_mapping_test
  KTAP version 1
  # Subtest: vfio_cdev
  1..1
  #   Error: EBUSY
  #   Subtest: no header
  not ok 1 vfio_cdev.bind
not ok 2 vfio_cdev
# 3 of 4 tests did not run
# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0
`);
});

it("with several devices nests by them first, and counts repetitions as tests", () => {
  const tests = ["0000:01:00.0", "vfio-user:/run/x.sock"].flatMap((device) =>
    [1, 2].map((repetition) => ({ ...outcome([device, "vfio_cdev", "bind"]), repetition })),
  );
  const top = parseKtap(report(tests));
  expect(top.map(({ name }) => name)).toEqual(["0000_01_00.0", "vfio-user_run_x.sock"]);
  expect(leavesOf(top).map(({ name }) => name)).toEqual([
    "0000_01_00.0_vfio_cdev.bind_1",
    "0000_01_00.0_vfio_cdev.bind_2",
    "vfio-user_run_x.sock_vfio_cdev.bind_1",
    "vfio-user_run_x.sock_vfio_cdev.bind_2",
  ]);
});

it("fails for a test that did not run, and for an error outside any test", () => {
  const [ran, lost] = [outcome(["f", "ran"]), outcome(["f", "lost"])];
  const plan = { ...PLAN, size: { tests: 2, cases: 1, all: [ran, lost] } };
  const [suite, outside] = parseKtap(report([ran], { errors: ["a file\ndid not load"] }, plan));
  expect(suite).toMatchObject({
    status: "failed",
    children: [{ status: "passed" }, { directive: "ERROR did not run" }],
  });
  expect(outside).toMatchObject({ status: "failed", diagnostics: ["#   a file", "#   did not load"] });
});

it("without tests is valid", () => {
  expect(parseKtap(report([]))).toEqual([]);
});

const title = fc.oneof(
  fc.stringMatching(/^[a-z]([._-]?[a-z0-9]){0,3}$/),
  fc.constantFrom("a.b", "a_b", "a-b", "A B", "f", "#", "ok 1 x", "0000:01:00.0", ""),
  fc.string({ maxLength: 6, unit: "binary" }),
);
const text = fc.oneof(
  fc.string({ maxLength: 30, unit: "binary" }),
  fc.constantFrom("x # SKIP y", "1..4", "a\nok 1 b\n# Subtest: c"),
);
const outcomes = fc.array(
  fc
    .record({
      titles: fc.array(title, { minLength: 1, maxLength: 4 }),
      status: fc.constantFrom("passed" as const, "failed" as const, "skipped" as const),
      says: text,
    })
    .map(({ titles, status, says }) => {
      const skip = status === "skipped" ? { reason: says, remedy: says } : undefined;
      return outcome(titles, { status, skip, failures: status === "failed" ? [says] : [], notes: [says] });
    }),
  { maxLength: 12 },
);

/** The names that LAVA gives to results (Linaro's test-definitions, automated/linux/kselftest/parse-output.py). */
function lavaName(name: string): string {
  return name
    .replace(/\[\d{1,5}\]/g, "")
    .replace(/[^A-Za-z0-9_-]+/g, "_")
    .replace(/^_|_$/g, "")
    .replaceAll("_-", "__");
}

it("is KTAP whatever the ids and texts are, with a name of its own for each result", () => {
  fc.assert(
    fc.property(outcomes, (tests) => {
      const top = parseKtap(report(tests));
      const statuses = (list: readonly { status: string }[]): readonly string[] =>
        list.map(({ status }) => status).sort();
      expect(statuses(leavesOf(top))).toEqual(statuses(tests));
      const names = allNames(top);
      expect(new Set(names.map(lavaName)).size).toBe(names.length);
      for (const name of names) expect(name).toMatch(/^[\w.-]+$/);
    }),
  );
});

function allNames(results: ReturnType<typeof parseKtap>): readonly string[] {
  return results.flatMap(({ name, children = [] }) => [name, ...allNames(children)]);
}
