import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parseDevices } from "../machine/devices";
import { sharesBeside, sharesOf } from "../machine/shares";
import { guestCommand, guestPlan, passedOnEnvironment, shellQuote } from "./guest-plan";

const word = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", ""));

test("a quoted word comes out of a shell as it went in", () => {
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 4 }), (words) => {
      const script = `printf '%s\\0' ${words.map(shellQuote).join(" ")}`;
      const { stdout } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
      expect(stdout.split("\0").slice(0, -1)).toEqual(words);
    }),
    { numRuns: 30 },
  );
});

function runCommand(command: Parameters<typeof guestCommand>[0]): { stdout: string; status: number | null } {
  // On the host there is no init that wants the process id.
  const script = guestCommand(command).replace("/dev/lab/pid", "/dev/null");
  return spawnSync("sh", ["-c", script], { encoding: "utf8", env: { LAB_DEVICES: "0000:01:00.0 0000:02:00.0" } });
}

const plain = { cwd: "/", env: { PATH: process.env["PATH"] ?? "" }, override: {} };

test("the command gets arguments, folder and environment", () => {
  const script = 'printf "%s|%s|%s|%s" "$1" "$PWD" "$GREETING" "$VFIO_SELFTESTS_BDF"';
  const { stdout } = runCommand({
    ...plain,
    command: ["sh", "-c", script, "sh", "it's\na 'word'"],
    cwd: "/usr",
    env: { ...plain.env, GREETING: "a  b" },
  });
  expect(stdout).toBe("it's\na 'word'|/usr|a  b|0000:01:00.0 0000:02:00.0");
});

test("the caller's own variables win over the guest's", () => {
  const { stdout } = runCommand({
    ...plain,
    command: ["sh", "-c", "echo $VFIO_SELFTESTS_BDF"],
    override: { VFIO_SELFTESTS_BDF: "0000:02:00.0" },
  });
  expect(stdout).toBe("0000:02:00.0\n");
});

test("status comes through, also for a command that is not there and a folder that is not there", () => {
  expect(runCommand({ ...plain, command: ["sh", "-c", "exit 42"] }).status).toBe(42);
  expect(runCommand({ ...plain, command: ["no-such-program"] }).status).toBe(127);
  expect(runCommand({ ...plain, command: ["true"], cwd: "/no/such/folder" }).status).toBe(126);
});

test("a command with = in its name is a command", () => {
  expect(runCommand({ ...plain, command: ["a=b"] }).status).toBe(127);
});

const plan = {
  mode: "run",
  stdin: false,
  devices: parseDevices(["edu"]),
  endMark: "--m--",
  cwd: "/home/x",
  shares: sharesOf("/", []),
} as const;

test("the guest has a /tmp of its own, except when the command starts below the host's", () => {
  expect(guestPlan({ ...plan, cwd: "/home/x" })).toContain("LAB_TMPFS='/tmp /run'");
  expect(guestPlan({ ...plan, cwd: "/tmp/clone" })).toContain("LAB_TMPFS='/run'");
  expect(guestPlan({ ...plan, cwd: "/tmp" })).toContain("LAB_TMPFS='/run'");
  expect(guestPlan({ ...plan, cwd: "/tmpfiles" })).toContain("LAB_TMPFS='/tmp /run'");
});

test("the plan mounts the folders that the guest may write to, whatever their names", () => {
  const folder = mkdtempSync(join(tmpdir(), "it's a "));
  try {
    const script = `mount_share() { printf '%s|' "$@"; }\n${guestPlan({ ...plan, shares: sharesOf(folder, []) })}mount_shares`;
    expect(spawnSync("sh", ["-c", script], { encoding: "utf8" }).stdout).toBe(`share0|${folder}|`);
  } finally {
    rmdirSync(folder);
  }
});

test("a guest with a tree of its own has a /tmp of its own wherever the command starts, and mounts all that it sees of the host", () => {
  const folder = mkdtempSync(join(tmpdir(), "beside-"));
  try {
    const shares = sharesBeside("/tree", "/run-1", folder, [], []);
    const text = guestPlan({ ...plan, cwd: "/tmp/clone", shares });
    expect(text).toContain("LAB_TMPFS='/tmp /run'");
    expect(text.match(/mount_share .*/g)).toEqual([`mount_share share0 '${folder}'`]);
  } finally {
    rmdirSync(folder);
  }
});

test("the plan names the functions to bind", () => {
  expect(guestPlan({ ...plan, devices: parseDevices(["igb", "edu"]) })).toContain(
    "LAB_BIND='0000:00:10.0/*:*:00.0 0000:00:11.0'",
  );
});

test("the host's device and session are not passed on", () => {
  const env = {
    PATH: "/bin",
    VFIO_SELFTESTS_BDF: "0000:6a:01.0",
    VFIO_SELFTESTS_NVME_SCRATCH: "S4EWNX0R123456",
    VFIO_SELFTESTS_MODE: "x",
    TMPDIR: "/t",
    SSH_TTY: "/d",
  };
  expect(passedOnEnvironment({ env, uid: 0 })).toEqual({ PATH: "/bin", VFIO_SELFTESTS_MODE: "x" });
});

test("the guest's root harms nobody but who started it, unless that is root", () => {
  const confined = { VFIO_SELFTESTS_CONFINED: "1" };
  expect(passedOnEnvironment({ env: {}, uid: 1000 })).toEqual(confined);
  expect(passedOnEnvironment({ env: confined, uid: 0 })).toEqual({});
});
