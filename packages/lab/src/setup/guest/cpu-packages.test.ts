import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ARM64 } from "../../architecture/arm64";
import { cpuPackages } from "./cpu-packages";

let project = "";
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "cpu-packages-"));
});
afterEach(() => {
  rmSync(project, { recursive: true });
});

test("the guest gets the version that npm or yarn has installed for the host", () => {
  const folder = join(project, "node_modules/@unrs/resolver-binding-linux-x64-gnu");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ version: "1.13.0" }));
  expect(cpuPackages(project, "x64", ARM64)).toEqual([
    { name: "@unrs/resolver-binding-linux-arm64-gnu", version: "1.13.0" },
  ]);
});

test("of several versions in pnpm's store the guest gets the newest", () => {
  for (const name of ["@swc+core-linux-x64-gnu@1.9.2", "@swc+core-linux-x64-gnu@1.16.22", "@swc+core@1.17.0"]) {
    mkdirSync(join(project, "node_modules/.pnpm", name), { recursive: true });
  }
  expect(cpuPackages(project, "x64", ARM64)).toEqual([{ name: "@swc/core-linux-arm64-gnu", version: "1.16.22" }]);
});

test("a project without jest needs none", () => {
  expect(cpuPackages(project, "x64", ARM64)).toEqual([]);
});
