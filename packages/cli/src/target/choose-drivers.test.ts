import { chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asRoot } from "@vfio-selftests/core/testing";
import { chooseDrivers } from "./choose-drivers";
import { findDrivers } from "./find-drivers";
import { findToolkitDriver, installedToolkitDrivers, missingToolkitDrivers } from "./toolkit-drivers";

/** The workspace has them all. */
const BUILT_IN = ["ioat", "dsa", "igb", "nv-falcon", "nvme"];

let project: string;
let told: string[];
const STRANGER = 54321;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "choose-drivers-"));
  told = [];
});
afterEach(() => rmSync(project, { recursive: true }));

const choose = (...names: string[]) =>
  chooseDrivers({ drivers: names, lab: false, confined: false }, project, (line) => told.push(line)).drivers.map(
    ({ name }) => name,
  );

function addDriver(file: string): string {
  const path = join(project, file);
  writeFileSync(path, driverSource("mine"));
  return path;
}

function install(packageName: string, name: string, source = driverSource(name)): void {
  const folder = join(project, "node_modules", packageName);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "index.js"), source);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: packageName, main: "index.js" }));
}

function driverSource(name: string): string {
  return `exports.driver = { name: "${name}", ids: [{ vendor: 1, device: 2 }], regionSize: 4096, create() {} };`;
}

describe("chooseDrivers", () => {
  it("takes the toolkit's drivers without a word, and says that it takes the project's", () => {
    expect(choose()).toEqual(BUILT_IN);
    expect(told).toEqual([]);
    const path = addDriver("mine.cjs");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./mine.cjs"] }');
    expect(choose()).toEqual([...BUILT_IN, "mine"]);
    expect(told).toEqual([`driver mine is ${path}'s, found from ${project}`]);
  });

  asRoot(it)("takes none of a stranger's project as root, even in a VM that root started", () => {
    addDriver("mine.cjs");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./mine.cjs"] }');
    chownSync(project, STRANGER, STRANGER);
    const names = (lab: boolean, confined: boolean) =>
      chooseDrivers({ drivers: [], lab, confined }, project, (line) => told.push(line)).drivers.map(({ name }) => name);
    expect(names(true, false)).toEqual(BUILT_IN);
    expect(told).toEqual([expect.stringContaining(`belongs to user ${STRANGER}`)]);
    expect(names(false, true)).toEqual(BUILT_IN);
    expect(names(true, true)).toEqual([...BUILT_IN, "mine"]);
  });

  it("throws a broken driver's error, or takes the others and hands it on", () => {
    writeFileSync(join(project, "broken.cjs"), "throw new Error('no such hardware')");
    addDriver("mine.cjs");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./broken.cjs", "./mine.cjs"] }');
    expect(() => choose()).toThrow("no such hardware");
    const broken: string[] = [];
    const all = { drivers: [], lab: false, confined: false };
    const { drivers } = chooseDrivers(
      all,
      project,
      () => undefined,
      ({ subject }) => broken.push(String(subject)),
    );
    expect(drivers.map(({ name }) => name)).toEqual([...BUILT_IN, "mine"]);
    expect(broken).toEqual([join(project, "broken.cjs")]);
  });

  it("takes only the drivers that are named", () => {
    addDriver("mine.cjs");
    expect(choose("./mine.cjs", "igb")).toEqual(["mine", "igb"]);
    expect(told).toEqual([]);
  });

  it("takes a driver of the project by its own name", () => {
    addDriver("lib.cjs");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./lib.cjs"] }');
    expect(choose("mine")).toEqual(["mine"]);
    expect(() => choose("yours")).toThrow(/driver yours was not found/);
  });
});

describe("the toolkit's drivers", () => {
  // Names of packages that nobody has: NODE_PATH, as pnpm sets it, finds the workspace's from everywhere.
  const packages = { one: "@toolkit/driver-one", two: "@toolkit/driver-two" };

  // jest remembers what it did not find, so nothing is installed late.
  let empty: string;
  beforeEach(() => (empty = mkdtempSync(join(tmpdir(), "beside-"))));
  afterEach(() => rmSync(empty, { recursive: true }));

  it("are those that are installed beside the command", () => {
    expect(missingToolkitDrivers()).toEqual([]);
    expect(installedToolkitDrivers({ from: empty, packages })).toEqual([]);
    expect(missingToolkitDrivers({ from: empty, packages })).toEqual(Object.values(packages));
    install(packages.two, "two");
    const toolkit = { from: project, packages };
    expect(installedToolkitDrivers(toolkit).map(({ driver, origin }) => [driver.name, origin])).toEqual([
      ["two", packages.two],
    ]);
    expect(missingToolkitDrivers(toolkit)).toEqual([packages.one]);
  });

  it("are found for the project where the command has none, and are told how to install where neither has", () => {
    install(packages.one, "one");
    const beside = { from: project, packages };
    const apart = { from: empty, packages };
    expect(findToolkitDriver("one", empty, beside)).toEqual({ name: packages.one, from: project });
    expect(findToolkitDriver("one", project, apart)).toEqual({ name: packages.one, from: project });
    expect(() => findToolkitDriver("one", empty, apart)).toThrow(/npm install --save-dev @toolkit\/driver-one/);
    expect(findToolkitDriver("three", project, beside)).toBeUndefined();
    expect(findToolkitDriver("constructor", project, beside)).toBeUndefined();
  });

  it("that are broken are errors, not missing", () => {
    install(packages.one, "one", "throw new Error('broken');");
    expect(() => installedToolkitDrivers({ from: project, packages })).toThrow(
      "driver @toolkit/driver-one cannot be loaded: broken",
    );
  });
});

describe("findDrivers", () => {
  it("knows every driver of the toolkit by its name", () => {
    expect(() => findDrivers(choose(), project)).not.toThrow();
  });

  it("finds a driver without loading it, and names a missing one", () => {
    writeFileSync(join(project, "broken.cjs"), "throw new Error('loaded');");
    findDrivers(["./broken.cjs"], project);
    expect(() => findDrivers(["./gone.cjs"], project)).toThrow(/gone\.cjs was not found/);
    expect(() => findDrivers(["mine"], project)).toThrow(/driver mine was not found/);
  });

  it("knows the project's drivers by their own names", () => {
    addDriver("lib.cjs");
    writeFileSync(join(project, "vfio-selftests.config.json"), '{ "drivers": ["./lib.cjs"] }');
    expect(() => findDrivers(["mine"], project)).not.toThrow();
  });
});
