// Checks that no folder of sources has more than 15 siblings without a reason (docs/architecture.md). Tests stand beside the
// file that they test, and do not count.
const { readdirSync } = require("node:fs");
const { join, relative } = require("node:path");

const ROOT = join(__dirname, "..");
const MOST = 15;

/** The folders that may have more, each because its files are of one kind, and a reader looks one up by its name. */
const REASONS = {
  "packages/cli/src": "a folder for each command",
  "packages/cli/src/doctor/checks": "a file for each check",
  "packages/cli/src/lab": "the files of each subcommand of `lab`",
  "packages/cli/src/run": "the steps of a run, in the order of docs/architecture.md's tour",
  "packages/harness/src/formats": "the formats of reports, a file or two for each",
  "packages/harness/src/page": "a file for each part of the HTML page",
  "packages/suites/src": "a folder for each subject of the suites",
  "packages/suites/src/dma": "a file for each suite",
  "packages/suites/src/iommufd": "a file for each suite",
  "packages/suites/src/pci": "a file for each suite",
  "packages/vfio-user/src/conformance/server": "a file for each family of checks",
  "packages/vfio-user/src/testing": "a file for each model or peer that tests use",
};

/** Folders below `folder`, itself first. */
function foldersOf(folder) {
  const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...below.flatMap(({ name }) => foldersOf(join(folder, name)))];
}

const sources = readdirSync(join(ROOT, "packages")).map((name) => join(ROOT, "packages", name, "src"));
const large = [...sources.flatMap(foldersOf), ...foldersOf(join(ROOT, "packages/native/gyp"))]
  .map((folder) => ({
    folder: relative(ROOT, folder),
    siblings: readdirSync(folder).filter((name) => !name.endsWith(".test.ts")).length,
  }))
  .filter(({ siblings }) => siblings > MOST);

const problems = [
  ...large
    .filter(({ folder }) => !(folder in REASONS))
    .map(({ folder, siblings }) => `${folder} has ${siblings} siblings, ${MOST} at most: make folders by subject`),
  ...Object.keys(REASONS)
    .filter((known) => !large.some(({ folder }) => folder === known))
    .map((folder) => `${folder} has ${MOST} siblings at most: scripts/folder-sizes.cjs needs no reason for it`),
];
for (const problem of problems) console.error(problem);
if (problems.length === 0) console.log(`${large.length} folders have more than ${MOST} siblings, each with a reason`);
process.exitCode = problems.length === 0 ? 0 : 1;
