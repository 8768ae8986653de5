import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import * as uapi from "@vfio-selftests/core/uapi";

const PACKAGES = join(__dirname, "../../..");
/** `_IO(';', 100)` to `_IO(';', 149)`: VFIO's and iommufd's requests. */
const [FIRST, LAST] = [0x3b64, 0x3b95];
const REQUESTS = Object.entries(uapi).flatMap(([name, value]) =>
  typeof value === "number" && value >= FIRST && value <= LAST && /^(VFIO|IOMMU)_/.test(name) ? [name] : [],
);

/** What makes requests field by field, so that a suite can say on purpose what no encoder here can say. */
const RAW = /suites\/src\/rigs\/(raw|mock-iommu)\//;
const RAW_IMPORT = /^import [^;]*? from "[./\w-]*\/(raw|mock-iommu)\/[\w-]+";/m;

/** Source files that may encode a request: all but tests, fakes and the header's own numbers. */
function sources(): string[] {
  const files = readdirSync(PACKAGES).flatMap((name) =>
    readdirSync(join(PACKAGES, name, "src"), { recursive: true, encoding: "utf8" }).map((file) =>
      join(name, "src", file),
    ),
  );
  return files.filter((file) => file.endsWith(".ts") && !/\.test\.ts$|\/testing\/|^core\/src\/uapi\//.test(file));
}

/** The names of the kernel's headers that a file imports. */
function namesIn(file: string): Set<string> {
  const text = readFileSync(join(PACKAGES, file), "utf8");
  if (file.startsWith("suites/") && (RAW.test(file) || RAW_IMPORT.test(text))) return new Set();
  const imports = [...text.matchAll(/^(?:import|export) [^;]*? from "[^"]*uapi[^"]*";/gm)].map(
    ([statement]) => statement,
  );
  const qualified = [...text.matchAll(/\buapi\.\w+/g)].map(([name]) => name);
  return new Set([...imports, ...qualified].join(" ").match(/\b(?:VFIO|IOMMU)_\w+/g));
}

it("each request code is encoded in one file at most, all of them beside this test", () => {
  expect(REQUESTS.length).toBeGreaterThan(40);
  const files = sources().map((file) => ({ file, names: namesIn(file) }));
  expect(files.length).toBeGreaterThan(200);
  const used = REQUESTS.flatMap((name) => {
    const encoders = files.filter(({ names }) => names.has(name)).map(({ file }) => file);
    return encoders.length === 0 ? [] : [{ name, encoders }];
  });
  const here = relative(PACKAGES, __dirname);
  expect(used.length).toBeGreaterThan(25);
  expect(used.filter(({ encoders }) => encoders.length > 1 || !encoders[0]?.startsWith(here))).toEqual([]);
});
