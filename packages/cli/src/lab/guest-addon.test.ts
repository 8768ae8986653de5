import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonPackage } from "@vfio-selftests/native";
import { requireGuestAddon } from "./guest-addon";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A module that sees these files of the addon's package for a CPU. Jest remembers what it resolved: each has a folder of its own. */
function loaderWith(node: string, files?: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "guest-addon-"));
  folders.push(folder);
  if (files !== undefined) {
    const place = join(folder, "node_modules", addonPackage(node));
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "package.json"), JSON.stringify({ main: "vfio_native.node" }));
    for (const file of files) writeFileSync(join(place, file), "");
  }
  return join(folder, "index.js");
}

test("the host's CPU needs nothing more: its addon is loaded already", () => {
  requireGuestAddon({ arch: "x86_64" }, loaderWith("x64"), "x64");
  requireGuestAddon({ arch: "arm64" }, loaderWith("arm64"), "arm64");
});

test.each([
  ["arm64", "arm64", "x64"],
  ["x86_64", "x64", "arm64"],
])("a guest with %s needs its addon; the error names the package", (arch, node, host) => {
  const missing = `there is no addon for ${arch}: @vfio-selftests/native-linux-${node}-glibc is not installed, or not built`;
  expect(() => requireGuestAddon({ arch }, loaderWith(node), host)).toThrow(missing);
  // A checkout has the package without the file until the addon is built.
  expect(() => requireGuestAddon({ arch }, loaderWith(node, []), host)).toThrow(missing);
  requireGuestAddon({ arch }, loaderWith(node, ["vfio_native.node"]), host);
});

test.each([
  ["arm64", "arm64", "x64"],
  ["x86_64", "x64", "arm64"],
])("the remedy for a guest with %s names only a script that there is", (arch, node, host) => {
  let message = "";
  try {
    requireGuestAddon({ arch }, loaderWith(node), host);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain("in a checkout");
  const manifest = readFileSync(require.resolve("@vfio-selftests/native/package.json"), "utf8");
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  const named = [...message.matchAll(/@vfio-selftests\/native (build:\w+)/g)].map(([, script]) => script);
  expect(named.filter((script) => scripts[script as string] === undefined)).toEqual([]);
});
