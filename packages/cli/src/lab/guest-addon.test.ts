import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireGuestAddon } from "./guest-addon";

const other = process.arch === "arm64" ? { arch: "x86_64", node: "x64" } : { arch: "arm64", node: "arm64" };

let prebuilds = "";
beforeEach(() => {
  prebuilds = mkdtempSync(join(tmpdir(), "prebuilds-"));
});
afterEach(() => {
  rmSync(prebuilds, { recursive: true });
});

test("the host's CPU needs nothing more: its addon is loaded already", () => {
  requireGuestAddon(process.arch === "arm64" ? { arch: "arm64" } : {}, prebuilds);
});

test("another CPU needs its addon; the error names the file and the command that builds it", () => {
  expect(() => requireGuestAddon(other, prebuilds)).toThrow(
    new RegExp(`there is no addon for ${other.arch}: .*linux-${other.node}/vfio_native.node[^]*build:${other.node}`),
  );
  mkdirSync(join(prebuilds, `linux-${other.node}`));
  writeFileSync(join(prebuilds, `linux-${other.node}`, "vfio_native.node"), "");
  requireGuestAddon(other, prebuilds);
});
