import fc from "fast-check";
import { EXPECTED, type ExpectedMessage, expectKernelLog, knownKernelDefect } from "./expect-kernel-log";
import { judge } from "./judge";
import type { KernelFindings } from "./kernel-watch";
import { findReports } from "./splat-reports";
import { RECORDED_LOGS } from "./testing/recorded-logs";

const WARNING = RECORDED_LOGS["WARNING"] ?? [];
const KASAN = RECORDED_LOGS["KASAN"] ?? [];
const PAGE = "docs/kernel-findings/a-page.md";
const FAULT = "DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x1000 [fault reason 0x06]";

/** What a watch finds in these lines. */
function findings(lines: readonly string[], rest: Partial<KernelFindings> = {}): KernelFindings {
  return { reports: findReports(lines), faults: [], lines, lost: 0, ...rest };
}

/** What a test that says this has collected at its end. */
function collected(say: () => void): readonly ExpectedMessage[] {
  const realm = globalThis as { [EXPECTED]?: ExpectedMessage[] };
  const expected: ExpectedMessage[] = [];
  realm[EXPECTED] = expected;
  try {
    say();
  } finally {
    Reflect.deleteProperty(realm, EXPECTED);
  }
  return expected;
}

describe("judge", () => {
  it("nothing follows from a kernel that says nothing of itself", () => {
    expect(judge(findings(["pci 0000:01:00.0: enabling device"]))).toEqual({ failures: [], notes: [] });
  });

  it("each report that nobody expects is a failure that quotes it", () => {
    const { failures } = judge(findings([...WARNING, ...KASAN]));
    expect(failures).toHaveLength(2);
    expect(failures[0]).toContain(WARNING.join("\n"));
    expect(failures[1]).toMatch(/^the kernel reported KASAN \(mm\/kasan\/report\.c /);
  });

  it("an expected report is none, and does not cover another", () => {
    const expected = collected(() => expectKernelLog(/^WARNING: /m));
    expect(judge(findings(WARNING), { expected })).toEqual({ failures: [], notes: [] });
    expect(judge(findings([...WARNING, ...KASAN]), { expected }).failures).toEqual([
      expect.stringContaining("the kernel reported KASAN"),
    ]);
  });

  it("a message that does not come fails a test, but not one that was skipped", () => {
    const expected = collected(() => expectKernelLog(/resetting/));
    expect(judge(findings(["resetting"]), { expected }).failures).toEqual([]);
    expect(judge(findings([]), { expected }).failures).toEqual([
      "the kernel did not say what this test provokes: /resetting/",
    ]);
    expect(judge(findings([]), { expected, skipped: true }).failures).toEqual([]);
  });

  it("a known defect that shows is a note with its page", () => {
    const expected = collected(() => knownKernelDefect(/^WARNING: /m, PAGE));
    expect(judge(findings(WARNING), { expected })).toEqual({
      failures: [],
      notes: [`this kernel has the defect of ${PAGE}`],
    });
  });

  it("a known defect that does not show is nothing: the kernel may be without", () => {
    const expected = collected(() => knownKernelDefect(/^WARNING: /m, PAGE));
    expect(judge(findings([]), { expected })).toEqual({ failures: [], notes: [] });
  });

  it("a known defect excuses no other report", () => {
    const expected = collected(() => knownKernelDefect(/^WARNING: /m, PAGE));
    const { failures, notes } = judge(findings([...WARNING, ...KASAN]), { expected });
    expect([failures.length, notes]).toEqual([1, [`this kernel has the defect of ${PAGE}`]]);
    expect(judge(findings(KASAN), { expected }).failures).toHaveLength(1);
  });

  it("a pattern's flags and state make no difference", () => {
    const sticky = /setting/gy;
    sticky.lastIndex = 5;
    const expected = collected(() => expectKernelLog(sticky));
    expect(judge(findings(["resetting"]), { expected }).failures).toEqual([]);
    expect(sticky.lastIndex).toBe(5);
  });

  it("ten refused accesses are quoted, further ones counted, lost messages told", () => {
    const faults = Array.from({ length: 13 }, () => FAULT);
    const { notes } = judge(findings(faults, { faults, lost: 2 }));
    expect(notes.slice(0, 10)).toEqual(faults.slice(0, 10).map((line) => `kernel: ${line}`));
    expect(notes.slice(10)).toEqual([
      "kernel: 3 more IOMMU faults",
      expect.stringMatching(/^not checked: 2 messages of the kernel: overwritten/),
    ]);
  });

  it("every report is either expected or a failure", () => {
    const kinds = Object.keys(RECORDED_LOGS);
    fc.assert(
      fc.property(fc.subarray(kinds), fc.subarray(kinds), (said, expectedKinds) => {
        const lines = said.flatMap((kind) => RECORDED_LOGS[kind] ?? []);
        const reports = findReports(lines);
        // The whole text, so that a pattern matches its own report and no other.
        const patterns = reports
          .filter(({ name }) => expectedKinds.includes(name))
          .map((report) => new RegExp(`^${escape(report.lines.join("\n"))}$`));
        const expected = collected(() => patterns.forEach((pattern) => expectKernelLog(pattern)));
        expect(judge(findings(lines), { expected }).failures).toHaveLength(reports.length - patterns.length);
      }),
    );
  });
});

function escape(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

describe("where nobody watches the kernel's log", () => {
  it("a known defect is not spoken of", () => {
    expect(() => knownKernelDefect(/x/, PAGE)).not.toThrow();
  });
});
