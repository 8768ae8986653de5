import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { notInLab } from "../not-in-lab";

const ROOT = join(__dirname, "../../../..");

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Every package's manifest below a checkout, by its path there. */
function manifests(root: string): Map<string, Manifest> {
  const parents = ["packages", "packages/native/platforms", "examples"];
  const paths = parents.flatMap((parent) =>
    readdirSync(join(root, parent)).map((name) => join(parent, name, "package.json")),
  );
  return new Map(
    paths.flatMap((path) => {
      try {
        return [[path, JSON.parse(readFileSync(join(root, path), "utf8")) as Manifest]];
      } catch {
        // A folder that is no package.
        return [];
      }
    }),
  );
}

let checkout = "";
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), "version-packages-"));
});
afterEach(() => {
  rmSync(checkout, { recursive: true });
});
notInLab();

/** A checkout with the manifests alone, and one change. */
function checkOut(changeset: string): void {
  const files = ["package.json", "pnpm-workspace.yaml", ".changeset/config.json"];
  const scripts = ["scripts/version-packages.cjs", "scripts/published-packages.cjs"];
  for (const path of [...files, ...scripts, ...manifests(ROOT).keys()]) {
    mkdirSync(dirname(join(checkout, path)), { recursive: true });
    cpSync(join(ROOT, path), join(checkout, path));
  }
  symlinkSync(join(ROOT, "scripts/node_modules"), join(checkout, "scripts/node_modules"));
  writeFileSync(join(checkout, ".changeset/change.md"), changeset);
  const git = (...args: string[]): unknown => execFileSync("git", ["-C", checkout, ...args], { stdio: "pipe" });
  git("init", "--quiet");
  git("add", ".");
  git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "change");
}

it.each([
  ["minor", /^(\d+)\.(\d+)\.\d+$/, (major: number, minor: number) => `${major}.${minor + 1}.0`],
  ["patch", /^(\d+)\.(\d+)\.(\d+)$/, (major: number, minor: number, patch = 0) => `${major}.${minor}.${patch + 1}`],
] as const)("a %s change gives every published package the same next version, and no other", (kind, pattern, next) => {
  checkOut(`---\n"@vfio-selftests/core": ${kind}\n---\n\nRegisters have names.\n`);
  const before = manifests(checkout);
  execFileSync(process.execPath, ["scripts/version-packages.cjs"], { cwd: checkout, stdio: "pipe" });

  for (const [path, { version, ...rest }] of manifests(checkout)) {
    const { version: old = "", ...same } = before.get(path) ?? {};
    const [, ...numbers] = pattern.exec(old) ?? [];
    const [major = 0, minor = 0, patch = 0] = numbers.map(Number);
    const expected = rest.private === true ? old : next(major, minor, patch);
    // What a package needs of the others is untouched, its peers, too.
    expect({ path, version, ...rest }).toEqual({ path, version: expected, ...same });
  }
  const log = readFileSync(join(checkout, "packages/core/CHANGELOG.md"), "utf8");
  expect(log).toContain(": Registers have names.\n");
  expect(readdirSync(join(checkout, ".changeset"))).toEqual(["config.json"]);
});
