import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { asRoot } from "../testing";
import { discoverDrivers, loadDriver } from "./discover-drivers";

const failure = (fields: { code: string; subject: string }): Error => expect.objectContaining(fields) as Error;

const driverSource = (name: string): string =>
  `{ name: "${name}", ids: [{ vendor: 1, device: 2 }], regionSize: 64, create() {} }`;

describe("a project's drivers", () => {
  let project: string;
  beforeEach(() => (project = mkdtempSync(join(tmpdir(), "discover-drivers-"))));
  afterEach(() => rmSync(project, { recursive: true }));

  function write(path: string, content: string | object): void {
    const file = join(project, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  }

  function install(name: string, source: string, manifest: object = { keywords: ["vfio-selftests-driver"] }): void {
    write(`node_modules/${name}/package.json`, { name, main: "main.js", ...manifest });
    write(`node_modules/${name}/main.js`, source);
  }

  const found = (): [string, string][] =>
    discoverDrivers(project).drivers.map(({ driver, origin }) => [driver.name, origin]);

  test("are the dependencies with the keyword, of every kind, and no others", () => {
    write("package.json", {
      dependencies: { "@acme/one": "1", plain: "1" },
      devDependencies: { two: "1", "not-installed": "1" },
      optionalDependencies: { three: "1" },
    });
    install("@acme/one", `exports.driver = ${driverSource("one")}`);
    install("two", `exports.default = ${driverSource("two")}`);
    install("three", `module.exports = ${driverSource("three")}`);
    install("plain", "throw new Error('must not be loaded')", { keywords: ["vfio"] });
    install("transitive", "throw new Error('must not be loaded')");
    expect(found()).toEqual([
      ["one", "@acme/one"],
      ["two", "two"],
      ["three", "three"],
    ]);
  });

  test("are found where package.json is hidden by the package's exports", () => {
    write("package.json", { dependencies: { hidden: "1" } });
    install("hidden", `exports.driver = ${driverSource("hidden")}`, {
      exports: "./main.js",
      keywords: ["vfio-selftests-driver"],
    });
    expect(found()).toEqual([["hidden", "hidden"]]);
  });

  test("include the project itself when it carries the keyword", () => {
    write("package.json", { name: "@acme/self", main: "lib/self.js", keywords: ["vfio-selftests-driver"] });
    write("lib/self.js", `exports.driver = ${driverSource("self")}`);
    expect(found().map(([name]) => name)).toEqual(["self"]);
  });

  test("include those that the configuration names, each once", () => {
    write("package.json", { dependencies: { two: "1" } });
    install("two", `exports.driver = ${driverSource("two")}`);
    install("unmarked", `exports.driver = ${driverSource("unmarked")}`, {});
    write("drivers/local.cjs", `exports.driver = ${driverSource("local")}`);
    write("vfio-selftests.config.json", { drivers: ["two", "unmarked", "./drivers/local.cjs"] });
    expect(found()).toEqual([
      ["two", "two"],
      ["unmarked", "unmarked"],
      ["local", join(project, "drivers/local.cjs")],
    ]);
  });

  test("are none without a package.json", () => {
    expect(found()).toEqual([]);
  });

  test("a broken one is an error that names it and the place, and keeps no other away", () => {
    write("package.json", { dependencies: { broken: "1", shapeless: "1", "not-built": "1", whole: "1" } });
    install("broken", "const one = 1;\nthrow new Error('no such hardware')");
    install("shapeless", "exports.driver = { name: 'shapeless' }");
    install("not-built", "", { main: "dist/gone.js", exports: "./dist/gone.js", keywords: ["vfio-selftests-driver"] });
    install("whole", `exports.driver = ${driverSource("whole")}`);
    expect(found()).toEqual([["whole", "whole"]]);
    const { broken } = discoverDrivers(project);
    expect(broken).toEqual([
      failure({ code: "ERR_DRIVER_NOT_LOADED", subject: "broken" }),
      failure({ code: "ERR_INVALID_DRIVER", subject: "shapeless" }),
      failure({ code: "ERR_DRIVER_NOT_FOUND", subject: "not-built" }),
    ]);
    expect(broken[0]?.message).toContain("driver broken cannot be loaded: no such hardware");
    expect(broken[0]?.message).toContain(`at ${join(project, "node_modules/broken/main.js")}:2`);
    expect(() => loadDriver("broken", project)).toThrow(failure({ code: "ERR_DRIVER_NOT_LOADED", subject: "broken" }));
  });

  test("a module that is no JavaScript is told with its line, in a folder with a space in its name, too", () => {
    write("package.json", {});
    write("a folder/driver.cjs", "const one = 1;\n\nconst = 2;");
    expect(() => loadDriver("./a folder/driver.cjs", project)).toThrow(`at ${join(project, "a folder/driver.cjs")}:3`);
  });

  test("a name that none of the whole ones has may be a broken one's", () => {
    write("package.json", { dependencies: { "@acme/broken": "1", whole: "1" } });
    install("@acme/broken", "throw new Error('no such hardware')");
    install("whole", `exports.driver = ${driverSource("whole")}`);
    expect(loadDriver("whole", project).driver.name).toBe("whole");
    expect(() => loadDriver("mine", project)).toThrow("driver @acme/broken cannot be loaded: no such hardware");
  });

  test("one that is not there is an error that says how to get it", () => {
    write("package.json", {});
    expect(() => loadDriver("@acme/gone", project)).toThrow(/npm install --save-dev @acme\/gone/);
    expect(() => loadDriver("./gone.cjs", project)).toThrow(/gone\.cjs was not found.*\n.*check the path/);
  });

  test("an unreadable package.json is an error that names the file", () => {
    write("package.json", "{");
    expect(found).toThrow(join(project, "package.json"));
  });

  test.each<[string, string, string | object, string]>([
    ["unknown keys", "vfio-selftests.config.json", { driver: ["x"] }, "unknown key driver\n  Remedy: allowed: drivers"],
    ["another type", "vfio-selftests.config.json", { drivers: "x" }, "drivers must be an array"],
    ["no object", "vfio-selftests.config.json", "[]", "it must be an object"],
    ["no JSON", "vfio-selftests.config.json", "{", "it cannot be read"],
  ])("a configuration with %s is an error that names the file", (_, file, content, message) => {
    write(file, content);
    expect(found).toThrow(failure({ code: "ERR_INVALID_CONFIG", subject: join(project, file) }));
    expect(found).toThrow(message);
  });

  test.each(["cjs", "js", "mjs", "ts"])(
    "a configuration that is code (%s) is an error, and is not run",
    (extension) => {
      write(`vfio-selftests.config.${extension}`, "throw new Error('must not be run')");
      expect(found).toThrow(/a configuration is JSON\n.*write vfio-selftests\.config\.json/);
    },
  );

  asRoot(test)("of another user are not loaded by root", () => {
    write("package.json", { dependencies: { two: "1" } });
    install("two", "throw new Error('must not be loaded')");
    chownSync(project, 12_345, 12_345);
    expect(discoverDrivers(project, { uid: 0 })).toEqual({
      drivers: [],
      refused: [`two is not loaded as root: ${project} belongs to user 12345. To load it all the same: --driver two`],
      broken: [],
    });
    install("two", `exports.driver = ${driverSource("two")}`);
    jest.resetModules();
    expect(discoverDrivers(project, { uid: 0, sudoUid: 12_345 }).drivers).toHaveLength(1);
  });

  asRoot(test)("in a folder of another user are not loaded by root", () => {
    write("package.json", { dependencies: { two: "1" } });
    install("two", "throw new Error('must not be loaded')");
    chownSync(join(project, "node_modules/two"), 12_345, 0);
    expect(discoverDrivers(project, { uid: 0 }).refused).toEqual([expect.stringContaining("belongs to user 12345")]);
  });

  asRoot(test)("that others may write to are not loaded by root", () => {
    write("package.json", { dependencies: { two: "1" } });
    install("two", "throw new Error('must not be loaded')");
    chmodSync(join(project, "node_modules/two/main.js"), 0o666);
    expect(discoverDrivers(project, { uid: 0 }).refused).toEqual([expect.stringContaining("every user may write to")]);
  });
});
