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

/**
 * Runs the build script in another user's tree, with a stand-in for turbo that records who called it. Returns that
 * record.
 */
function build(environment: Readonly<Record<string, string>>): string {
  const tree = mkdtempSync(join(tmpdir(), "sudo-build-"));
  try {
    mkdirSync(join(tree, "scripts"));
    copyFileSync(SCRIPT, join(tree, "scripts/build-quietly.cjs"));
    writeFileSync(join(tree, "turbo"), `#!/bin/sh\necho "$(id -u) $HOME $SUDO_UID" >'${tree}/built'\n`);
    chmodSync(join(tree, "turbo"), 0o755);
    chownSync(tree, OWNER, OWNER);
    const { status, stderr } = spawnSync(process.execPath, [join(tree, "scripts/build-quietly.cjs"), "cli"], {
      env: { PATH: `${tree}:${process.env["PATH"] ?? ""}`, HOME: CALLERS_HOME, ...environment },
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return readFileSync(join(tree, "built"), "utf8").trim();
  } finally {
    rmSync(tree, { recursive: true });
  }
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

  it("stays root's where root is no user's sudo, or another's", () => {
    skipUnlessRoot();
    expect(build({})).toBe(`0 ${CALLERS_HOME}`);
    expect(build({ SUDO_UID: "1234" })).toBe(`0 ${CALLERS_HOME} 1234`);
  });
});
