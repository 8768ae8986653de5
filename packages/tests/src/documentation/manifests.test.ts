import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DRIVER_KEYWORD } from "@vfio-selftests/core/driver";

const PACKAGES = join(__dirname, "../../..");

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly keywords?: readonly string[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** The first line of a comment that stands by itself. */
const DOC_COMMENT = /^\s*\/\*\*/m;

const published = readdirSync(PACKAGES)
  .map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(PACKAGES, folder, "package.json"), "utf8")) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true);

it.each(published)("$manifest.name is built before it is packed", ({ folder, manifest }) => {
  expect(manifest.scripts?.["prepack"]).toBe(`node ../../scripts/build-quietly.cjs ${folder}`);
});

it.each(published)(
  "$manifest.name has JavaScript without comments and maps, and declarations with comments",
  ({ folder }) => {
    const dist = join(PACKAGES, folder, "dist");
    const files = readdirSync(dist, { recursive: true, encoding: "utf8" });
    expect(files.filter((file) => file.endsWith(".map"))).toEqual([]);
    const commented = (ending: string): string[] =>
      files.filter((file) => file.endsWith(ending) && DOC_COMMENT.test(readFileSync(join(dist, file), "utf8")));
    expect(commented(".js")).toEqual([]);
    expect(commented(".d.ts")).not.toEqual([]);
  },
);

const drivers = published.filter(({ manifest }) => manifest.keywords?.includes(DRIVER_KEYWORD));

it.each(drivers)(
  "$manifest.name takes core from its user: two copies would not know each other's objects",
  (driver) => {
    expect(driver.manifest.dependencies ?? {}).not.toHaveProperty(["@vfio-selftests/core"]);
    expect(driver.manifest.peerDependencies).toHaveProperty(["@vfio-selftests/core"]);
  },
);

it("there are drivers", () => expect(drivers.length).toBeGreaterThan(2));
