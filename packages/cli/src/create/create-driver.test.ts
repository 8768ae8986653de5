import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { createDriver } from "./create-driver";
import { driverPackage, type NewFile } from "./driver-template";
import { packageNames } from "./package-names";
import { writePackage } from "./write-package";

interface Manifest {
  readonly version: string;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const ROOT = join(__dirname, "../../../..");
const FORMATS = ["commonjs", "esm"] as const;

const manifestAt = (folder: string) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
const withCode = (code: string): Error => expect.objectContaining({ code }) as Error;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "create-driver-"));
  jest.spyOn(console, "log").mockReturnValue(undefined);
});
afterEach(() => {
  rmSync(directory, { recursive: true });
  jest.restoreAllMocks();
});

describe("the package's name", () => {
  test("is the folder's, or the one that is given", () => {
    expect(packageNames("widget")).toEqual({ packageName: "widget", driverName: "widget" });
    expect(packageNames("@acme/widget-2")).toEqual({ packageName: "@acme/widget-2", driverName: "widget-2" });
  });

  test.each(["", "Widget", ".widget", "_widget", "a b", "a/b", "@acme", "@acme/", "@/a", "node_modules", "fs", "é"])(
    "%j is refused",
    (name) => {
      expect(() => createDriver(join(directory, "new"), { name })).toThrow(withCode("ERR_INVALID_ARGUMENT"));
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test.each(["ioat", "@acme/dsa", "igb"])("%s is refused: a driver of the toolkit has it", (name) => {
    expect(() => packageNames(name)).toThrow(/a name that is not one of ours: ioat, dsa, igb/);
  });

  test("whatever it is, it breaks no file: it is a word of a string wherever it stands", () => {
    const word = fc.stringMatching(/^[a-z0-9-][a-z0-9._-]{0,20}$/);
    fc.assert(
      fc.property(word, word, (scope, name) => {
        let names;
        try {
          names = packageNames(`@${scope}/${name}`);
        } catch {
          return;
        }
        const files = new Map(driverPackage("esm", names).map(({ path, text }) => [path, text]));
        expect(JSON.parse(files.get("package.json") ?? "")).toMatchObject({ name: `@${scope}/${name}` });
        expect(files.get("src/driver.ts")).toContain(`name: "${name}",`);
      }),
      { numRuns: 50 },
    );
  });
});

describe.each(FORMATS)("the files of a package (%s)", (format) => {
  const files = driverPackage(format, packageNames("@acme/widget"));
  const manifest = JSON.parse(files.find(({ path }) => path === "package.json")?.text ?? "") as Manifest;

  test("have every word replaced", () => {
    const left = files.filter(({ text }) => /(?:PACKAGE|DRIVER)_NAME|workspace:/.test(text));
    expect(left.map(({ path }) => path)).toEqual([]);
    expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining([".gitignore", ".github/workflows/test.yml"]));
  });

  test("name the versions of our packages that are beside the command", () => {
    const dependencies = { ...manifest.devDependencies, ...manifest.peerDependencies };
    const ours = Object.entries(dependencies).filter(([name]) => name.startsWith("@vfio-selftests/"));
    expect(ours.length).toBeGreaterThan(4);
    for (const [name, range] of ours) {
      const { version } = manifestAt(join(ROOT, "packages", name.replace("@vfio-selftests/", "")));
      expect({ name, range }).toEqual({ name, range: `^${version}` });
    }
  });

  test("name the versions of other packages with which we test", () => {
    // The workspace has the compiler under another name: "npm:typescript@7.0.2".
    const tested = Object.fromEntries(
      Object.entries(manifestAt(ROOT).devDependencies).map(
        ([name, version]) => /^npm:(.+)@(.+)$/.exec(version)?.slice(1) ?? [name, version],
      ),
    ) as Readonly<Record<string, string>>;
    const others = Object.entries(manifest.devDependencies).filter(([name]) => !name.startsWith("@vfio-selftests/"));
    for (const [name, range] of others) expect({ name, range }).toEqual({ name, range: `^${tested[name] ?? "?"}` });
  });
});

describe("the folder", () => {
  const FILES: readonly NewFile[] = [
    { path: "a", text: "1" },
    { path: "b/c", text: "2" },
  ];

  test("may be missing, with those above it, or empty but for .git", () => {
    const folder = join(directory, "x/y");
    writePackage(folder, FILES);
    expect(readFileSync(join(folder, "b/c"), "utf8")).toBe("2");
    const cloned = join(directory, "cloned");
    mkdirSync(join(cloned, ".git"), { recursive: true });
    writePackage(cloned, FILES);
    expect(readdirSync(cloned).sort()).toEqual([".git", "a", "b"]);
  });

  test("with a file in it stays as it is", () => {
    writeFileSync(join(directory, "mine"), "mine");
    expect(() => createDriver(directory, { name: "widget" })).toThrow(/is not empty: it has mine\n.*Remedy: /);
    expect(() => createDriver(directory, { name: "widget" })).toThrow(withCode("ENOTEMPTY"));
    expect(readdirSync(directory)).toEqual(["mine"]);
  });

  test.each([
    ["a file", "mine", "EEXIST"],
    ["below a file", "mine/new", "ENOTDIR"],
    ["where none can be made", "/proc/nowhere/new", "ENOENT"],
  ])("that is %s is an error with a remedy", (_, path, code) => {
    writeFileSync(join(directory, "mine"), "mine");
    const folder = path.startsWith("/") ? path : join(directory, path);
    expect(() => writePackage(folder, FILES)).toThrow(withCode(code));
    expect(() => writePackage(folder, FILES)).toThrow(/Remedy: name a folder in which you may write/);
  });

  test("goes when the files cannot be written, with all that was made", () => {
    // A file in the way stands for a full disk: the third write fails.
    const files = [...FILES, { path: "a/below-a-file", text: "3" }];
    expect(() => writePackage(join(directory, "x/y"), files)).toThrow(withCode("EEXIST"));
    expect(readdirSync(directory)).toEqual([]);
  });
});

test("the templates are packed", () => {
  const { files } = JSON.parse(readFileSync(join(__dirname, "../../package.json"), "utf8")) as { files: string[] };
  expect(files).toContain("templates");
  const names = readdirSync(join(__dirname, "../../templates"), { recursive: true, encoding: "utf8" });
  // npm leaves these out of every package, or reads them as its own.
  expect(names.filter((name) => /(?:^|\/)\.(?:git|npm)/.test(name) || dirname(name).includes("node_modules"))).toEqual(
    [],
  );
});
