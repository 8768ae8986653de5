import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeTestHost } from "../../testing/test-host";
import { patchedSource, type SourcePatch } from "./patched-source";

function makeOrigin(folder: string): { version: string; folder: string } {
  const origin = join(folder, "linux");
  mkdirSync(join(origin, "drivers/vfio/pci"), { recursive: true });
  writeFileSync(join(origin, "Makefile"), "VERSION = 7\n");
  writeFileSync(join(origin, "drivers/vfio/main.c"), "int main;\n");
  writeFileSync(join(origin, "drivers/vfio/pci/core.c"), "int core;\n");
  return { version: "7.3", folder: origin };
}

const appending = (file: string, text: string): SourcePatch => ({
  name: "faults",
  folders: ["drivers/vfio"],
  apply: (tree) => writeFileSync(join(tree, file), text, { flag: "a" }),
});

test("the patched tree has the change; the origin has not", async () => {
  using host = makeTestHost();
  const origin = makeOrigin(host.folder);
  const { folder, version } = await patchedSource(host, origin, appending("drivers/vfio/pci/core.c", "int fault;\n"));
  expect(version).toBe("7.3-faults");
  expect(readFileSync(join(folder, "drivers/vfio/pci/core.c"), "utf8")).toBe("int core;\nint fault;\n");
  expect(readFileSync(join(origin.folder, "drivers/vfio/pci/core.c"), "utf8")).toBe("int core;\n");
  expect(readFileSync(join(folder, "Makefile"), "utf8")).toBe("VERSION = 7\n");
});

test("the next patch begins from the origin, and leaves what does not change with its time", async () => {
  using host = makeTestHost();
  const origin = makeOrigin(host.folder);
  const { folder } = await patchedSource(host, origin, appending("drivers/vfio/pci/new.c", "int first;\n"));
  const file = (name: string): string => join(folder, "drivers/vfio", name);
  await patchedSource(host, origin, appending("drivers/vfio/main.c", "int fault;\n"));
  const before = statSync(file("main.c"), { bigint: true }).mtimeNs;
  expect(existsSync(file("pci/new.c"))).toBe(false);
  await patchedSource(host, origin, appending("drivers/vfio/main.c", "int fault;\n"));
  expect(readFileSync(file("main.c"), "utf8")).toBe("int main;\nint fault;\n");
  expect(statSync(file("main.c"), { bigint: true }).mtimeNs).toBe(before);
});

test("a patch that fails leaves the tree of before", async () => {
  using host = makeTestHost();
  const origin = makeOrigin(host.folder);
  const patch = appending("drivers/vfio/main.c", "int fault;\n");
  const { folder } = await patchedSource(host, origin, patch);
  const broken = { ...patch, apply: () => Promise.reject(new Error("does not apply")) };
  await expect(patchedSource(host, origin, broken)).rejects.toThrow("does not apply");
  expect(readFileSync(join(folder, "drivers/vfio/main.c"), "utf8")).toBe("int main;\nint fault;\n");
  expect(existsSync(`${folder}.changed`)).toBe(false);
});
