import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFolder } from "./make-folder";

describe("makeFolder", () => {
  let top: string;
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), "make-folder-"));
  });
  afterEach(() => rmSync(top, { recursive: true }));

  it("makes each that is missing, with its mode, and leaves alone what is there", () => {
    const path = join(top, "a", "b", "c");
    makeFolder(path, 0o700);
    for (const folder of [path, join(path, ".."), join(path, "../..")])
      expect(statSync(folder).mode & 0o777).toBe(0o700);
    makeFolder(path, 0o755);
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it("ends where a file system takes no folders", () => {
    for (const path of ["/proc/no-such-folder", "/proc/no-such-folder/of/mine"]) {
      expect(() => makeFolder(path)).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
    }
  });

  it("takes no file for a folder", () => {
    const file = join(top, "file");
    writeFileSync(file, "");
    expect(() => makeFolder(file)).toThrow(expect.objectContaining({ code: "EEXIST" }) as Error);
    expect(() => makeFolder(join(file, "below"))).toThrow(expect.objectContaining({ code: "ENOTDIR" }) as Error);
    symlinkSync(join(top, "nowhere"), join(top, "link"));
    expect(() => makeFolder(join(top, "link"))).toThrow(expect.objectContaining({ code: "ENOENT" }) as Error);
  });
});
