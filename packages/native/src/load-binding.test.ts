import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadBinding } from "./load-binding";
import { builtPackage } from "./testing/node-process";

describe("loadBinding", () => {
  let directory: string;
  beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "native-"))));
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  it("loads the prebuilt addon below the package", () => {
    cpSync(join(builtPackage, "prebuilds"), join(directory, "prebuilds"), { recursive: true });
    expect(loadBinding(directory).pageSize()).toBeGreaterThan(0);
  });

  it("names platform, architecture, Node, what was tried and the remedy when there is none", () => {
    const { platform, arch, version } = process;
    const load = (): unknown => loadBinding(directory);
    expect(load).toThrow(`no addon that loads on ${platform}-${arch}, Node ${version}`);
    expect(load).toThrow(
      `Tried: ${directory}/prebuilds/${platform}-${arch}/vfio_native.node (No native build was found`,
    );
    expect(load).toThrow("Remedy: in a checkout run `pnpm --filter @vfio-selftests/native build:addon`");
  });

  it("gives the loader's reason when the file is not an addon", () => {
    const prebuilds = join(directory, "prebuilds", `${process.platform}-${process.arch}`);
    mkdirSync(prebuilds, { recursive: true });
    writeFileSync(
      join(prebuilds, "vfio_native.node"),
      "not an ELF file, but long enough to be read as one, or nearly so",
    );
    expect(() => loadBinding(directory)).toThrow("invalid ELF header");
  });
});
