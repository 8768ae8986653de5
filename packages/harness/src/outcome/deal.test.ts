import fc from "fast-check";
import { dealTests, expectedDurations } from "./deal";
import { shardTests } from "./shard";
import { fullId, identify, type TestIdentity } from "./test-identity";

const MODES = ["vfio_type1_iommu", "iommufd", "iommufd_compat_type1"];

const titles = fc.tuple(
  fc.option(fc.constantFrom("0000:01:00.0", "0000:02:00.0"), { nil: undefined }),
  fc.constantFrom("vfio_a", "vfio_b"),
  fc.option(fc.constantFrom(...MODES, "iommufd_thp"), { nil: undefined }),
  fc.string({ unit: fc.constantFrom("x", "y", "z"), minLength: 1, maxLength: 3 }),
);

/** A list of tests as a run has them: no two have the same address and id. */
const lists = fc
  .uniqueArray(titles, { selector: (parts) => parts.join("\0"), maxLength: 60 })
  .map((all) => all.map((parts) => identify(parts.filter((part) => part !== undefined))));

const durations = fc.dictionary(
  fc.constantFrom("vfio_a.x", "vfio_b.y", "vfio_a.iommufd.x", "vfio_b.iommufd_thp.zz"),
  fc.nat(100_000),
);

const ids = (tests: readonly TestIdentity[]): string[] => tests.map(fullId);

describe("dealTests", () => {
  it("gives each test to one part, in the order of the list, whatever is known of durations", () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 9 }), durations, (tests, count, known) => {
        const parts = dealTests(tests, count, known);
        expect(parts).toHaveLength(count);
        expect(parts.flat().map(fullId).sort()).toEqual(ids(tests).sort());
        for (const part of parts) expect(tests.filter((test) => part.includes(test))).toEqual(part);
      }),
    );
  });

  it("gives parts that differ by the longest test at most", () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 9 }), durations, (tests, count, known) => {
        const expected = expectedDurations(tests, known);
        const sum = (part: readonly TestIdentity[]): number =>
          part.reduce((total, test) => total + (expected.get(test) ?? 0), 0);
        const sums = dealTests(tests, count, known).map(sum);
        expect(Math.max(...sums) - Math.min(...sums)).toBeLessThanOrEqual(Math.max(0, ...expected.values()) + 0.001);
      }),
    );
  });

  it("deals the variants of a test whose duration nobody knows one to each part", () => {
    const tests = ["long", "short"].flatMap((name) =>
      ["vfio_type1_iommu", "iommufd"].map((m) => identify(["f", m, name])),
    );
    for (const part of dealTests(tests, 2, {})) expect(part.map(({ test }) => test).sort()).toEqual(["long", "short"]);
  });
});

describe("expectedDurations", () => {
  const duration = (known: Record<string, number>, ...path: string[]): number | undefined => {
    const test = identify(path);
    const overhead =
      expectedDurations([identify(["none", "at_all"])], { "none.at_all": 0 })
        .values()
        .next().value ?? 0;
    const tests = [test, ...Object.keys(known).map((id) => identify(id.split(".")))];
    return (expectedDurations(tests, known).get(test) ?? 0) - overhead;
  };

  it("is what the test took, else other modes, else its fixture, else all", () => {
    const known = { "f.iommufd.t": 50, "f.iommufd_compat_type1.t": 70, "f.iommufd.u": 600, "g.w": 2000 };
    expect(duration(known, "f", "iommufd", "t")).toBe(50);
    expect(duration(known, "f", "vfio_type1_iommu", "t")).toBe(60);
    expect(duration(known, "f", "new")).toBe(240);
    expect(duration(known, "h", "new")).toBe(680);
  });
});

describe("shardTests", () => {
  const shards = (tests: readonly TestIdentity[], count: number): (readonly TestIdentity[])[] =>
    Array.from({ length: count }, (_, index) => shardTests(tests, { index: index + 1, count }));

  it("puts each test into one shard, whatever the order of the list", () => {
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 9 }), (tests, count) => {
        const parts = shards(tests, count);
        expect(parts.flat().map(fullId).sort()).toEqual(ids(tests).sort());
        expect(shards([...tests].reverse(), count).map((part) => ids(part).sort())).toEqual(
          parts.map((part) => ids(part).sort()),
        );
        const sizes = parts.map((part) => part.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});
