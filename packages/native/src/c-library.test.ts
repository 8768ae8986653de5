import { readFileSync } from "node:fs";
import { addonFile, itWithoutSanitizers } from "./testing/node-process";

/** The highest version of a library's symbols that the addon needs, as three numbers: GLIBC_2.28 is [2, 28, 0]. */
function highestVersion(library: string): number[] {
  const names = readFileSync(addonFile, "latin1").matchAll(new RegExp(`\\0${library}_([0-9.]+)(?=\\0)`, "g"));
  const versions = [...names].map(([, version]) => `${version ?? ""}.0.0`.split(".").map(Number).slice(0, 3));
  const weight = ([major = 0, minor = 0, patch = 0]: number[]): number => (major * 1000 + minor) * 1000 + patch;
  return versions.sort((a, b) => weight(a) - weight(b)).at(-1) ?? [];
}

// The versions of RHEL 8, which Node's own binaries need (BUILDING.md of Node).
describe("the addon loads with", () => {
  itWithoutSanitizers("glibc 2.28", () => {
    const [major, minor] = highestVersion("GLIBC");
    expect(major).toBe(2);
    expect(minor).toBeLessThanOrEqual(28);
  });

  itWithoutSanitizers("the libstdc++ of GCC 8, 3.4.25", () => {
    const [major, minor, patch] = highestVersion("GLIBCXX");
    expect([major, minor]).toEqual([3, 4]);
    expect(patch).toBeLessThanOrEqual(25);
  });
});
