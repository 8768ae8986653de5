import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { skip } from "@vfio-selftests/harness";

const SCRIPT = join(__dirname, "../../../../scripts/build-quietly.cjs");
const OWNER = 65534;
const CALLERS_HOME = "/home-of-the-caller";

/** Runs the build script in another user's tree, with a stand-in for turbo. Returns what it wrote into `built`, and how it ended. */
function buildBy(
  turbo: string,
  environment: Readonly<Record<string, string>>,
): { status: number | null; stderr: string; built: string } {
  const tree = mkdtempSync(join(tmpdir(), "sudo-build-"));
  try {
    mkdirSync(join(tree, "scripts"));
    copyFileSync(SCRIPT, join(tree, "scripts/build-quietly.cjs"));
    writeFileSync(join(tree, "built"), "");
    chmodSync(join(tree, "built"), 0o666);
    writeFileSync(join(tree, "turbo"), `#!/bin/sh\ncd '${tree}'\n${turbo}\n`);
    chmodSync(join(tree, "turbo"), 0o755);
    chownSync(tree, OWNER, OWNER);
    const { status, stderr } = spawnSync(process.execPath, [join(tree, "scripts/build-quietly.cjs"), "cli"], {
      env: { PATH: `${tree}:${process.env["PATH"] ?? ""}`, HOME: CALLERS_HOME, ...environment },
      encoding: "utf8",
    });
    return { status, stderr, built: readFileSync(join(tree, "built"), "utf8").trim() };
  } finally {
    rmSync(tree, { recursive: true });
  }
}

/** A build that goes well. Returns who ran it, and where that user's home is. */
function build(environment: Readonly<Record<string, string>>): string {
  const { status, stderr, built } = buildBy('echo "$(id -u) $HOME $SUDO_UID" >built', environment);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return built;
}

function skipUnlessRoot(): void {
  if (process.getuid?.() === 0) return;
  skip({ reason: "only root can give files to somebody and become them", remedy: "run it as root, or in the lab" });
}

describe("the build before `pnpm vfio`", () => {
  it("is the tree's owner's when sudo made that user root", () => {
    skipUnlessRoot();
    expect(build({ SUDO_UID: String(OWNER) })).toMatch(new RegExp(`^${OWNER} (?!${CALLERS_HOME})/\\S*$`));
  });

  it("tells that it builds when that takes a while, and nothing of what turbo prints", () => {
    skipUnlessRoot();
    const { status, stderr } = buildBy("echo building; sleep 3", {});
    expect(status).toBe(0);
    expect(stderr).toMatch(/^Building what is not built yet: .*\n$/);
  });

  it("that fails ends with turbo's words and its status", () => {
    skipUnlessRoot();
    expect(buildBy("echo 'a type is wrong'; exit 3", {})).toMatchObject({ status: 3, stderr: "a type is wrong\n" });
  });

  it("stays root's where root is no user's sudo, or another's", () => {
    skipUnlessRoot();
    expect(build({})).toBe(`0 ${CALLERS_HOME}`);
    expect(build({ SUDO_UID: "1234" })).toBe(`0 ${CALLERS_HOME} 1234`);
  });
});
