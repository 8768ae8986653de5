import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { notInLab } from "../not-in-lab";

const ROOT = join(__dirname, "../../../..");
const SCRIPT = join(ROOT, "scripts/check-prebuilds.cjs");
const MACHINES = { x64: 62, arm64: 183 } as const;
const LIBRARIES = { glibc: "libc.so.6", musl: "libc.so" } as const;
type Arch = keyof typeof MACHINES;
type Libc = keyof typeof LIBRARIES;

const NAMES: Readonly<Record<Libc, string>> = { glibc: "vfio_native.node", musl: "vfio_native.musl.node" };
const ALL = (["x64", "arm64"] as const).flatMap((arch) => (["glibc", "musl"] as const).map((libc) => ({ arch, libc })));

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "prebuilds-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
// Jest calls `afterEach` for a skipped test, too: the folder is made before the skip.
notInLab();

function place(arch: Arch, libc: Libc): string {
  return join(folder, "package/prebuilds", `linux-${arch}`, NAMES[libc]);
}

/** A file with as much of an addon as tells its CPU and its C library. */
function put(path: string, machine: number, library: string): void {
  const addon = Buffer.alloc(64);
  addon.write("\x7fELF", "latin1");
  addon.writeUInt16LE(machine, 18);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat([addon, Buffer.from(`\0${library}\0`)]));
}

function check(): { status: number | null; lines: readonly string[] } {
  const tarball = join(folder, "native.tgz");
  execFileSync("tar", ["-czf", tarball, "-C", folder, "package"]);
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, tarball], { encoding: "utf8" });
  return { status, lines: `${stdout}${stderr}`.trim().split("\n") };
}

function putAll(): void {
  for (const { arch, libc } of ALL) put(place(arch, libc), MACHINES[arch], LIBRARIES[libc]);
}

it("a package with all addons of a release is whole", () => {
  putAll();
  expect(check()).toEqual({ status: 0, lines: [`4 addons are in ${folder}/native.tgz`] });
});

it("an addon that is missing, for another CPU, of another C library, or that nobody asked for is named", () => {
  putAll();
  rmSync(place("arm64", "musl"));
  put(place("arm64", "glibc"), MACHINES.x64, LIBRARIES.glibc);
  put(place("x64", "musl"), MACHINES.x64, LIBRARIES.glibc);
  put(join(folder, "package/prebuilds/linux-x64/other.node"), MACHINES.x64, LIBRARIES.glibc);
  expect(check()).toEqual({
    status: 1,
    lines: [
      "prebuilds/linux-x64/other.node: no release serves that",
      "prebuilds/linux-x64/vfio_native.musl.node does not need libc.so",
      "prebuilds/linux-arm64/vfio_native.node is for the ELF machine 62, not 183",
      "prebuilds/linux-arm64/vfio_native.musl.node is missing",
    ],
  });
});

it.each(ALL)("node-gyp-build takes the addon for $arch and $libc there", ({ arch, libc }) => {
  putAll();
  const script = `process.stdout.write(require("node-gyp-build").path(${JSON.stringify(join(folder, "package"))}))`;
  const found = execFileSync(process.execPath, ["-e", script], {
    cwd: join(ROOT, "packages/native"),
    env: { ...process.env, npm_config_arch: arch, LIBC: libc },
    encoding: "utf8",
  });
  expect(relative(folder, found)).toBe(relative(folder, place(arch, libc)));
});

it("npm installs the package on both C libraries, and the release builds and checks all addons before it publishes", () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, "packages/native/package.json"), "utf8")) as { libc: string[] };
  expect(manifest.libc).toEqual(["glibc", "musl"]);
  const release = readFileSync(join(ROOT, ".github/workflows/release.yml"), "utf8");
  const steps = ["native build:arm64", "native build:musl", "scripts/check-prebuilds.cjs", "changeset publish"];
  const places = steps.map((step) => release.indexOf(step));
  expect(places.every((at, index) => at > (places[index - 1] ?? 0))).toBe(true);
});
