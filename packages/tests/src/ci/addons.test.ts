import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonPackage } from "@vfio-selftests/native";
import { notInLab } from "../not-in-lab";

const ROOT = join(__dirname, "../../../..");
const SCRIPT = join(ROOT, "scripts/check-addons.cjs");
const PLATFORMS = join(ROOT, "packages/native/platforms");
const MACHINES = { x64: 62, arm64: 183 } as const;
const LIBRARIES = { glibc: "libc.so.6", musl: "libc.so" } as const;
const ALL = (["x64", "arm64"] as const).flatMap((arch) => (["glibc", "musl"] as const).map((libc) => ({ arch, libc })));

interface Addon {
  readonly machine: number;
  readonly needs: string;
}

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "addons-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
// Jest calls `afterEach` for a skipped test, too: the folder is made before the skip.
notInLab();

/** A tarball with as much of an addon as tells its CPU and its C library. */
function pack(platform: string, { cpu, libc }: { cpu: string; libc: string }, addon?: Addon): void {
  const place = join(folder, platform, "package");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "package.json"), JSON.stringify({ os: ["linux"], cpu: [cpu], libc: [libc] }));
  if (addon !== undefined) {
    const header = Buffer.alloc(64);
    header.write("\x7fELF", "latin1");
    header.writeUInt16LE(addon.machine, 18);
    writeFileSync(join(place, "vfio_native.node"), Buffer.concat([header, Buffer.from(`\0${addon.needs}\0`)]));
  }
  const tarball = join(folder, `vfio-selftests-native-${platform}-1.2.3.tgz`);
  execFileSync("tar", ["-czf", tarball, "-C", join(folder, platform), "package"]);
}

function packAll(): void {
  for (const { arch, libc } of ALL) {
    pack(`linux-${arch}-${libc}`, { cpu: arch, libc }, { machine: MACHINES[arch], needs: LIBRARIES[libc] });
  }
}

function check(): { status: number | null; lines: readonly string[] } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, folder], { encoding: "utf8" });
  return { status, lines: `${stdout}${stderr}`.trim().split("\n") };
}

it("tarballs with all addons of a release are whole", () => {
  packAll();
  expect(check()).toEqual({ status: 0, lines: [`4 addons are in ${folder}`] });
});

it("an addon that is missing, for another CPU, of another C library, or that nobody asked for is named", () => {
  packAll();
  rmSync(join(folder, "vfio-selftests-native-linux-arm64-musl-1.2.3.tgz"));
  rmSync(join(folder, "linux-x64-glibc"), { recursive: true });
  pack("linux-x64-glibc", { cpu: "x64", libc: "musl" });
  pack("linux-arm64-glibc", { cpu: "arm64", libc: "glibc" }, { machine: MACHINES.x64, needs: LIBRARIES.glibc });
  pack("linux-x64-musl", { cpu: "x64", libc: "musl" }, { machine: MACHINES.x64, needs: LIBRARIES.glibc });
  pack("linux-riscv64-glibc", { cpu: "riscv64", libc: "glibc" }, { machine: 243, needs: LIBRARIES.glibc });
  expect(check()).toEqual({
    status: 1,
    lines: [
      "linux-riscv64-glibc: no release serves that",
      'linux-x64-glibc is for [["linux"],["x64"],["musl"]]',
      "linux-x64-glibc has no addon",
      "linux-x64-musl: its addon does not need libc.so",
      "linux-arm64-glibc: its addon is for the ELF machine 62, not 183",
      "linux-arm64-musl is missing",
    ],
  });
});

it.each(ALL)(
  "the package for $arch and $libc is published for that machine alone, and native asks for it",
  ({ arch, libc }) => {
    const manifest = (path: string): Record<string, unknown> =>
      JSON.parse(readFileSync(join(path, "package.json"), "utf8")) as Record<string, unknown>;
    const { name, version, main, files, publishConfig } = manifest(join(PLATFORMS, `linux-${arch}-${libc}`));
    expect({ name, main, files, publishConfig }).toEqual({
      name: addonPackage(arch, libc),
      main: "vfio_native.node",
      files: ["vfio_native.node"],
      publishConfig: { access: "public", os: ["linux"], cpu: [arch], libc: [libc] },
    });
    const native = manifest(join(ROOT, "packages/native"));
    expect(native).toMatchObject({ version, optionalDependencies: { [addonPackage(arch, libc)]: "workspace:*" } });
  },
);

it("the release has a package for each platform, and builds and checks all addons before it publishes", () => {
  expect(readdirSync(PLATFORMS).sort()).toEqual(ALL.map(({ arch, libc }) => `linux-${arch}-${libc}`).sort());
  const release = readFileSync(join(ROOT, ".github/workflows/release.yml"), "utf8");
  const steps = ["native build:arm64", "native build:musl", "scripts/check-addons.cjs", "changeset publish"];
  const places = steps.map((step) => release.indexOf(step));
  expect(places.every((at, index) => at > (places[index - 1] ?? 0))).toBe(true);
});
