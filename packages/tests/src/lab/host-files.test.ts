import { spawnSync } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onlyInLab } from "../only-in-lab";

function mount(...args: string[]): void {
  const { status, stderr } = spawnSync("mount", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`mount ${args.join(" ")}: ${stderr}`);
}

/** The type of the file system that was mounted last at a folder. */
function mountedAt(folder: string): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  return mounts.map((line) => line.split(" ")).findLast(([, where]) => where === folder)?.[2];
}

describe("the host's files in the lab's VM", () => {
  onlyInLab("it tries to write to the host's files");

  it("cannot be written by root, even where the tree is mounted anew for it", () => {
    const folder = mkdtempSync(join(tmpdir(), "host-"));
    mount("-t", "virtiofs", "root", folder);
    try {
      mount("-o", "remount,rw", folder);
      const refused = expect.objectContaining({ code: "EROFS" }) as Error;
      for (const path of ["etc", "usr", "dev", "proc", "sys", "tmp"]) {
        expect(() => writeFileSync(join(folder, path, "lab-probe"), "")).toThrow(refused);
      }
      expect(() => appendFileSync(join(folder, "etc/passwd"), "")).toThrow(refused);
      expect(() => appendFileSync(join(folder, "proc/sys/kernel/hostname"), "")).toThrow(refused);
    } finally {
      spawnSync("umount", [folder]);
      rmdirSync(folder);
    }
  });

  it.each([
    ["/proc", "proc"],
    ["/sys", "sysfs"],
    ["/dev", "devtmpfs"],
    ["/dev/shm", "tmpfs"],
  ])("lie under %s of the guest's own", (folder, type) => {
    expect(mountedAt(folder)).toBe(type);
  });

  it("seem to be written, into the guest's memory, where its kernel has overlayfs", () => {
    const overlay = readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n");
    expect(mountedAt("/")).toBe(overlay ? "overlay" : "virtiofs");
    if (!overlay) return;
    writeFileSync("/etc/lab-probe", "mine");
    expect(readFileSync("/etc/lab-probe", "utf8")).toBe("mine");
    rmSync("/etc/lab-probe");
  });

  it("are the host's own below the folder that the command started in", () => {
    const path = join(__dirname, ".written-by-the-guest");
    writeFileSync(path, "");
    try {
      expect(statSync(path).dev).not.toBe(statSync("/etc").dev);
    } finally {
      rmSync(path);
    }
  });
});
