import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeMachine } from "../lab-machine";
import { kernelRelease } from "./kernel-release";
import { moduleTree, requireModulesOf } from "./module-tree";

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "lab-modules-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** An x86 image with this release in its header, as the kernel's build writes it. */
function bzImage(release: string): string {
  const image = Buffer.alloc(0x1000);
  image.write("HdrS", 0x202, "latin1");
  image.writeUInt16LE(0x600, 0x20e);
  image.write(`${release} (me@here) #1 SMP\0`, 0x800, "latin1");
  const path = join(folder, "bzImage");
  writeFileSync(path, image);
  return path;
}

/** The folder of `make modules_install` for these releases. */
function installed(...releases: readonly string[]): string {
  const path = join(folder, "installed");
  for (const release of releases) {
    mkdirSync(join(path, "lib/modules", release), { recursive: true });
    writeFileSync(join(path, "lib/modules", release, "modules.dep"), "");
  }
  return path;
}

describe("the release of", () => {
  it("a bzImage is in its header", () => {
    expect(kernelRelease(bzImage("7.3.4-rc1+"))).toBe("7.3.4-rc1+");
  });

  it("an uncompressed image is in its banner, wherever that lies", () => {
    const path = join(folder, "vmlinux");
    for (const at of [0, 100, (1 << 20) - 20, 3 << 20]) {
      writeFileSync(path, Buffer.concat([Buffer.alloc(at), Buffer.from("Linux version 7.3.4-x (me@here) (gcc) #1\n")]));
      expect(kernelRelease(path)).toBe("7.3.4-x");
    }
  });

  it("an image that does not show it is unknown", () => {
    const path = join(folder, "Image.gz");
    writeFileSync(path, "Linux version %s (%s)\0");
    expect(kernelRelease(path)).toBeUndefined();
  });
});

it("a tree with the image's modules fits", () => {
  expect(describeMachine({ kernel: bzImage("7.3.4"), modules: installed("7.3.4", "7.4.0") }).modules).toBe(
    join(folder, "installed/lib/modules"),
  );
});

it.each<[string, () => string, string]>([
  ["no such folder", () => "/nowhere", "/nowhere has no lib/modules"],
  ["a folder of something else", () => folder, "has no lib/modules"],
  ["the modules of others", () => installed("7.4.0", "6.1.0"), "is 7.3.4, and "],
])("%s is refused before the boot, with the remedy", (_, modules, why) => {
  const kernel = bzImage("7.3.4");
  expect(() => describeMachine({ kernel, modules: modules() })).toThrow(
    expect.objectContaining({
      code: "ERR_INVALID_ARGUMENT",
      message: expect.stringContaining(why) as string,
      remedy: expect.stringContaining("make modules_install INSTALL_MOD_PATH=DIR") as string,
    }) as Error,
  );
});

it("modules without their list need depmod", () => {
  const tree = moduleTree(installed("7.3.4"));
  rmSync(join(tree, "7.3.4/modules.dep"));
  expect(() => requireModulesOf(bzImage("7.3.4"), tree)).toThrow(`run \`depmod -b ${folder}/installed 7.3.4\``);
});
