import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireGuestAddon } from "./guest-addon";

let prebuilds = "";
beforeEach(() => {
  prebuilds = mkdtempSync(join(tmpdir(), "prebuilds-"));
});
afterEach(() => {
  rmSync(prebuilds, { recursive: true });
});

test("the host's CPU needs nothing more: its addon is loaded already", () => {
  requireGuestAddon({ arch: "x86_64" }, prebuilds, "x64");
  requireGuestAddon({ arch: "arm64" }, prebuilds, "arm64");
});

test.each([
  ["arm64", "arm64", "x64"],
  ["x86_64", "x64", "arm64"],
])("a guest with %s needs its addon; the error names the file", (arch, node, host) => {
  expect(() => requireGuestAddon({ arch }, prebuilds, host)).toThrow(
    new RegExp(`there is no addon for ${arch}: .*linux-${node}/vfio_native.node`),
  );
  mkdirSync(join(prebuilds, `linux-${node}`));
  writeFileSync(join(prebuilds, `linux-${node}`, "vfio_native.node"), "");
  requireGuestAddon({ arch }, prebuilds, host);
});

test.each([
  ["arm64", "x64"],
  ["x86_64", "arm64"],
])("the remedy for a guest with %s on %s names only a script that there is", (arch, host) => {
  let message = "";
  try {
    requireGuestAddon({ arch }, prebuilds, host);
  } catch (error) {
    message = (error as Error).message;
  }
  expect(message).toContain("in a checkout");
  const manifest = readFileSync(require.resolve("@vfio-selftests/native/package.json"), "utf8");
  const { scripts } = JSON.parse(manifest) as { scripts: Record<string, string> };
  const named = [...message.matchAll(/@vfio-selftests\/native (build:\w+)/g)].map(([, script]) => script);
  expect(named.filter((script) => scripts[script as string] === undefined)).toEqual([]);
});
