import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contains, projectFolder, sharesBeside, sharesOf, withReadOnly, writableFolders } from "./shares";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lab-shares-"));
  for (const name of ["a", "a/b", "ab"]) mkdirSync(join(folder, name));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const refusal = (allowed: RegExp): unknown =>
  expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", message: expect.stringMatching(allowed) as string });

test("the guest's root is the whole tree, read-only; the caller's folder can be written", () => {
  expect(sharesOf(folder, [])).toEqual([
    { name: "root", folder: "/", writable: false },
    { name: "share0", folder, writable: true },
  ]);
});

test.each(["/", "/proc", "/sys/kernel", "/dev", "/nowhere"])(
  "a command that starts in %s has no folder to write to",
  (cwd) => {
    expect(sharesOf(cwd, []).filter(({ writable }) => writable)).toEqual([]);
  },
);

test("a folder inside another goes with it, whatever the order; one whose name only begins alike does not", () => {
  const paths = ["a/b", "a", "ab", "a"].map((name) => join(folder, name));
  expect(writableFolders(paths)).toEqual([join(folder, "a"), join(folder, "ab")]);
});

test("a symbolic link stands for what it leads to", () => {
  symlinkSync(join(folder, "a"), join(folder, "link"));
  expect(writableFolders([join(folder, "link")])).toEqual([join(folder, "a")]);
});

test.each(["/", "/proc", "/sys/kernel", "/dev", "/dev/shm"])("%s is not given away", (path) => {
  expect(() => writableFolders([path])).toThrow(refusal(/a folder below \/, not/) as Error);
});

test("a link to the root is the root", () => {
  symlinkSync("/", join(folder, "root"));
  expect(() => writableFolders([join(folder, "root")])).toThrow(refusal(/a folder below/) as Error);
});

test("what is no folder, and too many folders, are refused", () => {
  writeFileSync(join(folder, "file"), "");
  for (const name of ["file", "none"]) {
    expect(() => writableFolders([join(folder, name)])).toThrow(refusal(/a folder that exists/) as Error);
  }
  const many = Array.from({ length: 9 }, (_, index) => join(folder, String(index)));
  for (const path of many) mkdirSync(path);
  expect(() => writableFolders(many)).toThrow(refusal(/8 folders at most/) as Error);
});

test("a guest with a tree of its own sees the project around the caller's folder, and writes to that folder", () => {
  mkdirSync(join(folder, "a/node_modules"));
  expect(sharesBeside("/tree", "/run-1", join(folder, "a/b"), [], [])).toEqual([
    { name: "root", folder: "/tree", writable: false },
    { name: "run", folder: "/run-1", writable: false },
    { name: "share0", folder: join(folder, "a"), writable: false },
    { name: "share1", folder: join(folder, "a/b"), writable: true },
  ]);
});

test("a project inside a folder that can be written is part of that", () => {
  mkdirSync(join(folder, "a/b/node_modules"));
  const shares = sharesBeside("/tree", "/run-1", join(folder, "a"), [], [join(folder, "a/b")]);
  expect(shares.slice(2)).toEqual([{ name: "share0", folder: join(folder, "a"), writable: true }]);
});

test("a project is the outermost folder with packages", () => {
  mkdirSync(join(folder, "a/b/node_modules"));
  expect(projectFolder(join(folder, "a/b"))).toBe(join(folder, "a/b"));
  mkdirSync(join(folder, "node_modules"));
  expect(projectFolder(join(folder, "a/b"))).toBe(folder);
  expect(projectFolder(join(folder, "nowhere"))).toBeUndefined();
});

test("containment goes by whole names", () => {
  expect([contains("/a", "/a"), contains("/a", "/a/b"), contains("/", "/a"), contains("/a", "/ab")]).toEqual([
    true,
    true,
    true,
    false,
  ]);
});

it("a folder that is only read has a name of its own beside the others", () => {
  const shares = sharesOf(folder, []);
  expect(withReadOnly(shares, undefined)).toBe(shares);
  expect(withReadOnly(shares, "/srv/tree").slice(shares.length)).toEqual([
    { name: "share1", folder: "/srv/tree", writable: false },
  ]);
  expect(new Set(withReadOnly(shares, "/srv/tree").map(({ name }) => name)).size).toBe(shares.length + 1);
});
