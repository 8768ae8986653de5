import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type FilePatch, formerLines, parsePatch, touchedLines } from "./patch";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "patch-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** git's own diff of two texts. */
function diff(before: readonly string[], after: readonly string[]): FilePatch {
  const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
  writeFileSync(join(folder, "before"), text(before));
  writeFileSync(join(folder, "after"), text(after));
  try {
    execFileSync("git", ["diff", "--no-index", "-U0", "before", "after"], {
      cwd: folder,
      encoding: "utf8",
      stdio: "pipe",
    });
    return { path: "after", hunks: [] };
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: string };
    expect(status).toBe(1);
    const [patch] = parsePatch(stdout);
    if (patch === undefined) throw new Error(`no patch in ${stdout}`);
    return patch;
  }
}

/** Lines that look like a diff's own are among them. */
const lines = fc.array(fc.constantFrom("a", "b", "c", "++ b/x.c", "-- a/x.c", "@@ -1 +1 @@"), { maxLength: 8 });

test("a line that did not change is followed back to itself; one that did, to what it replaced", () => {
  fc.assert(
    fc.property(lines, lines, (before, after) => {
      const patch = diff(before, after);
      const touched = new Set(touchedLines(patch));
      after.forEach((text, index) => {
        const former = formerLines(patch.hunks, index + 1);
        if (former.exact) expect(before[(former.lines[0] ?? 0) - 1]).toBe(text);
        else expect(touched.has(index + 1)).toBe(true);
      });
    }),
    { numRuns: 60 },
  );
});

test("files, new and removed ones, and names with spaces", () => {
  const text = [
    "diff --git a/drivers/vfio/a b.c b/drivers/vfio/a b.c",
    "--- a/drivers/vfio/a b.c\t",
    "+++ b/drivers/vfio/a b.c\t",
    "@@ -10,2 +10 @@ int f(void)",
    "-old",
    "-lines",
    "+++ b/not a name",
    "@@ -20 +18,0 @@",
    "-gone",
    "diff --git a/x.c b/x.c",
    "--- a/x.c",
    "+++ /dev/null",
    "@@ -1 +0,0 @@",
    "-all",
    "",
  ].join("\n");
  expect(parsePatch(text)).toEqual([
    {
      path: "drivers/vfio/a b.c",
      hunks: [
        { before: { first: 10, count: 2 }, after: { first: 10, count: 1 } },
        { before: { first: 20, count: 1 }, after: { first: 18, count: 0 } },
      ],
    },
    { path: undefined, hunks: [{ before: { first: 1, count: 1 }, after: { first: 0, count: 0 } }] },
  ]);
  // Of what was taken out, the two lines around it.
  expect(touchedLines(parsePatch(text)[0]!)).toEqual([10, 18, 19]);
});
