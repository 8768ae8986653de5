import { readFileSync } from "node:fs";
import { addonPackage } from "@vfio-selftests/native";
import { requireGuestAddon } from "./guest-addon";

/** What the loader of this checkout sees is not asked: an earlier build may have left an addon for the other CPU. */
function findOnly(...names: readonly string[]): (name: string) => string {
  return (name) => {
    if (names.includes(name)) return `/node_modules/${name}/vfio_native.node`;
    throw new Error(`Cannot find module '${name}'`);
  };
}

test("the host's CPU needs nothing more: its addon is loaded already", () => {
  requireGuestAddon({ arch: "x86_64" }, "x64", findOnly());
  requireGuestAddon({ arch: "arm64" }, "arm64", findOnly());
});

test("the addon of this machine is found where the loader finds it", () => {
  const [own, other] = process.arch === "x64" ? (["x86_64", "arm64"] as const) : (["arm64", "x64"] as const);
  requireGuestAddon({ arch: own }, other);
});

test.each([
  ["arm64", "arm64", "x64"],
  ["x86_64", "x64", "arm64"],
])("a guest with %s needs its addon; the error names the package", (arch, node, host) => {
  expect(() => {
    requireGuestAddon({ arch }, host, findOnly(addonPackage(host)));
  }).toThrow(
    `there is no addon for ${arch}: @vfio-selftests/native-linux-${node}-glibc is not installed, or not built`,
  );
  requireGuestAddon({ arch }, host, findOnly(addonPackage(node)));
});

test.each([
  ["arm64", "x64"],
  ["x86_64", "arm64"],
])("the remedy for a guest with %s on %s names only a script that there is", (arch, host) => {
  let message = "";
  try {
    requireGuestAddon({ arch }, host, findOnly());
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain("in a checkout");
  const manifest = readFileSync(require.resolve("@vfio-selftests/native/package.json"), "utf8");
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  const named = [...message.matchAll(/@vfio-selftests\/native (build:\w+)/g)].map(([, script]) => script);
  expect(named.filter((script) => scripts[script as string] === undefined)).toEqual([]);
});
