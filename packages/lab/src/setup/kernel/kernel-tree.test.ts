import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { makeTestHost } from "../../testing/test-host";
import { requireKernelTree } from "./kernel-tree";

function makeTree(folder: string): string {
  const tree = join(folder, "linux");
  for (const file of ["Makefile", "Kconfig", "arch/x86/Kconfig", "drivers/vfio/Makefile", "scripts/kconfig/Makefile"]) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), "");
  }
  return tree;
}

test("a kernel tree is taken", () => {
  using host = makeTestHost();
  const tree = makeTree(host.folder);
  expect(requireKernelTree(join(tree, "..", "linux"))).toBe(tree);
});

test("a folder that is no kernel tree, or is not there, is told with what it lacks", () => {
  using host = makeTestHost();
  const wrong = { code: "ERR_LAB_KERNEL_TREE", message: expect.stringContaining("no Linux source tree") as string };
  expect(() => requireKernelTree(host.folder)).toThrow(expect.objectContaining(wrong) as Error);
  expect(() => requireKernelTree(join(host.folder, "none"))).toThrow(expect.objectContaining(wrong) as Error);
});

test("a tree that was built in is told with the way out", () => {
  using host = makeTestHost();
  const tree = makeTree(host.folder);
  writeFileSync(join(tree, ".config"), "");
  expect(() => requireKernelTree(tree)).toThrow(
    expect.objectContaining({
      code: "ERR_LAB_KERNEL_TREE",
      remedy: expect.stringContaining("make mrproper") as string,
    }) as Error,
  );
});
