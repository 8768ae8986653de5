import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonPackage, loadBinding } from "./load-binding";
import { addonFile, builtPackage } from "./testing/node-process";

const { platform, arch, version } = process;

describe("loadBinding", () => {
  let directory: string;
  let from: string;
  const named = process.env["VFIO_NATIVE_ADDON"];
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "native-"));
    from = join(directory, "index.js");
    delete process.env["VFIO_NATIVE_ADDON"];
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
    if (named === undefined) delete process.env["VFIO_NATIVE_ADDON"];
    else process.env["VFIO_NATIVE_ADDON"] = named;
  });

  /** Installs the addon's package for a C library, and gives the addon's place. */
  function install(library: "glibc" | "musl"): string {
    const place = join(directory, "node_modules", addonPackage(arch, library));
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "package.json"), JSON.stringify({ main: "vfio_native.node" }));
    return join(place, "vfio_native.node");
  }
  const load = (): unknown => loadBinding(from);
  const NOT_AN_ADDON = "not an ELF file, but long enough to be read as one, or nearly so";

  it("loads the addon of the package that is installed beside the loader", () => {
    copyFileSync(addonFile, install("glibc"));
    expect(loadBinding(from).pageSize()).toBeGreaterThan(0);
  });

  it("takes the other C library's where an installer brought both and the first does not load", () => {
    writeFileSync(install("glibc"), NOT_AN_ADDON);
    copyFileSync(addonFile, install("musl"));
    expect(loadBinding(from).pageSize()).toBeGreaterThan(0);
  });

  it("names platform, architecture, Node, what was tried and the remedy when there is none", () => {
    // In a checkout NODE_PATH, by which pnpm starts jest, leads to the addon from everywhere.
    const { NODE_PATH: _, ...env } = process.env;
    const code = `require(${JSON.stringify(join(builtPackage, "dist/load-binding.js"))}).loadBinding(${JSON.stringify(from)})`;
    const { stderr } = spawnSync(process.execPath, ["-e", code], { env, encoding: "utf8" });
    expect(stderr).toContain(`no addon that loads on ${platform}-${arch}, Node ${version}`);
    expect(stderr).toContain(`@vfio-selftests/native-linux-${arch}-glibc (Cannot find module`);
    expect(stderr).toContain(`@vfio-selftests/native-linux-${arch}-musl (Cannot find module`);
    expect(stderr).toContain("Remedy: in a project install the packages again, with optional dependencies");
  });

  it("gives the loader's reason when the file is not an addon", () => {
    writeFileSync(install("glibc"), NOT_AN_ADDON);
    expect(load).toThrow("invalid ELF header");
  });

  it("loads the file that VFIO_NATIVE_ADDON names, and nothing else", () => {
    process.env["VFIO_NATIVE_ADDON"] = addonFile;
    expect(loadBinding(from).pageSize()).toBeGreaterThan(0);
    copyFileSync(addonFile, install("glibc"));
    process.env["VFIO_NATIVE_ADDON"] = join(directory, "none.node");
    expect(load).toThrow(`Tried: ${directory}/none.node (Cannot find module`);
    expect(load).toThrow("Remedy: unset VFIO_NATIVE_ADDON");
  });
});
