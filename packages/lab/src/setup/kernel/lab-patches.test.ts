import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArchitecture } from "../../architecture/architecture";
import { makeTestHost } from "../../testing/test-host";
import { labKernelFragment, makeKernelFragment } from "./kernel-fragment";
import { chosenFragment } from "./kernel-recipe";
import { LAB_PATCH_KEY, labPatch, optionalPatches } from "./lab-patches";
import { MPIN_PATCH } from "./mpin-patch";
import { patchedSource, type SourcePatch } from "./patched-source";

const OWN: SourcePatch = { name: "own", folders: [], apply: () => undefined };

function makeTree(folder: string): { version: string; folder: string } {
  const tree = join(folder, "linux");
  for (const part of labPatch().folders) mkdirSync(join(tree, part), { recursive: true });
  writeFileSync(join(tree, "samples/vfio-mdev/Makefile"), "obj-$(CONFIG_SAMPLE_VFIO_MDEV_MTTY) += mtty.o\n");
  return { version: "7.3", folder: tree };
}

test("a kernel for x86 has a driver of ours beside the samples, which is built with them", async () => {
  using host = makeTestHost();
  const { folder, version } = await patchedSource(host, makeTree(host.folder), labPatch());
  expect(version).toBe("7.3-lab");
  const sample = (name: string): string => readFileSync(join(folder, "samples/vfio-mdev", name), "utf8");
  expect(sample("mpin.c")).toContain("SPDX-License-Identifier: GPL-2.0");
  expect(sample("Makefile")).toBe("obj-$(CONFIG_SAMPLE_VFIO_MDEV_MTTY) += mtty.o\nobj-$(CONFIG_VFIO_MDEV) += mpin.o\n");
});

test("patches are applied one after the other, to the folders of all", async () => {
  using host = makeTestHost();
  const naming = (name: string): SourcePatch => ({
    name,
    folders: [name],
    apply: (tree) => writeFileSync(join(tree, "last"), existsSync(join(tree, "last")) ? name : "none before"),
  });
  for (const folder of ["a", "b"]) mkdirSync(join(host.folder, folder));
  const both = optionalPatches("both", [naming("a"), naming("b")]);
  expect(both).toMatchObject({ name: "both", folders: ["a", "b"] });
  await both.apply(host.folder);
  expect(readFileSync(join(host.folder, "last"), "utf8")).toBe("b");
});

test("a patch that does not compile, or whose folder is missing, is left out; another failure stays one", async () => {
  using host = makeTestHost();
  const applied: string[] = [];
  const noting = (name: string): SourcePatch => ({
    name,
    folders: [`drivers/${name}`],
    apply: () => void applied.push(name),
  });
  for (const name of ["a", "b"]) mkdirSync(join(host.folder, "drivers", name), { recursive: true });
  const patch = optionalPatches("lab", [noting("a"), noting("b"), noting("missing")]);
  await patch.apply(host.folder);
  expect(applied.splice(0)).toEqual(["a", "b"]);
  expect(patch.leftOut).toEqual(["missing"]);
  expect(
    patch.afterFailure?.("  CC      drivers/a/a.o\nmake[3]: *** [scripts/Makefile.build:289: fs/inode.o] Error 1\n"),
  ).toBe(false);
  expect(patch.afterFailure?.("make[3]: *** [scripts/Makefile.build:289: drivers/a/a.o] Error 1\n")).toBe(true);
  await patch.apply(host.folder);
  expect(applied).toEqual(["b"]);
  expect(patch.leftOut).toEqual(["missing", "a"]);
});

test("each patch is part of a kernel's key, and so is what it adds", () => {
  expect(LAB_PATCH_KEY).toEqual(["patch=idxd", `patch=mpin-${MPIN_PATCH.content ?? ""}`]);
  expect(MPIN_PATCH.content).toMatch(/^[0-9a-f]{12}$/);
  const options = labKernelFragment();
  const text = (list: typeof options.required): string => list.map(({ name, value }) => `${name}=${value}\n`).join("");
  expect(makeKernelFragment(text(options.required), text(options.wanted)).key).not.toBe(options.key);
});

test("kernels of Debian's sources have the lab's patches, unless they have one of the caller's; arm64's have none", () => {
  const keys = [
    chosenFragment({ variants: [] }).key,
    chosenFragment({ variants: [], patch: OWN }).key,
    chosenFragment({ variants: [], tree: "/" }).key,
    labKernelFragment().key,
    labKernelFragment(parseArchitecture("arm64")).key,
  ];
  expect(new Set(keys).size).toBe(keys.length);
});
