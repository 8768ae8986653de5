import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { asRoot } from "@vfio-selftests/core/testing";
import { chooseDrivers } from "./choose-drivers";
import { findDrivers } from "./find-drivers";

const BUILT_IN = ["ioat", "dsa", "igb"];

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
  writeFileSync(
    path,
    `exports.driver = { name: "mine", ids: [{ vendor: 1, device: 2 }], regionSize: 4096, create() {} };`,
  );
  return path;
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
