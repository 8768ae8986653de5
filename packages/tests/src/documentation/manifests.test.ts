import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent?: readonly string[];
}

const published = readdirSync(PACKAGES)
  .map((folder) => ({
    folder,
    manifest: JSON.parse(readFileSync(join(PACKAGES, folder, "package.json"), "utf8")) as Manifest,
  }))
  .filter(({ manifest }) => manifest.private !== true);

it.each(published)("$manifest.name is built before it is packed", ({ folder, manifest }) => {
  expect(manifest.scripts?.["prepack"]).toBe(`node ../../scripts/build-quietly.cjs ${folder}`);
});

it.each(published)("$manifest.name has maps with the sources, which are not packed", ({ folder }) => {
  const dist = join(PACKAGES, folder, "dist");
  const maps = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".js.map"));
  expect(maps.length).toBeGreaterThan(0);
  const without = maps.filter((file) => {
    const { sources, sourcesContent = [] } = JSON.parse(readFileSync(join(dist, file), "utf8")) as SourceMap;
    // A build folder may hold what an older build left.
    const isCurrent = sources.every((source) => existsSync(join(dist, dirname(file), source)));
    return isCurrent && sourcesContent.length === 0;
  });
  expect(without).toEqual([]);
});

const drivers = published.filter(({ manifest }) => manifest.keywords?.includes(DRIVER_KEYWORD));

it.each(drivers)(
  "$manifest.name takes core from its user: two copies would not know each other's objects",
  (driver) => {
    expect(driver.manifest.dependencies ?? {}).not.toHaveProperty(["@vfio-selftests/core"]);
    expect(driver.manifest.peerDependencies).toHaveProperty(["@vfio-selftests/core"]);
  },
);

it("there are drivers", () => expect(drivers.length).toBeGreaterThan(2));
