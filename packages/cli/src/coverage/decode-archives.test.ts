import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeArchive } from "@vfio-selftests/coverage";
import { decodeArchives } from "./decode-archives";

const SOURCE = `
int never(void) { return 1; }
static int twice(int x)
{
	return x * 2;
}
int main(int argc, char **argv)
{
	if (argc > 2)
		return never();
	return twice(argc) == 2 ? 0 : 1;
}
`;

/** A program that this machine's compiler builds with counters: its sources are in a tree, its objects elsewhere. */
function build(folder: string): { tree: string; objects: string; run: (...args: string[]) => Buffer } {
  const [tree, objects] = [join(folder, "tree"), join(folder, "build")];
  for (const path of [tree, objects]) mkdirSync(join(path, "drivers/vfio"), { recursive: true });
  writeFileSync(join(tree, "drivers/vfio/a.c"), SOURCE);
  const compile = (args: readonly string[]): unknown => execFileSync("gcc", args, { cwd: objects, stdio: "pipe" });
  compile(["--coverage", "-c", join(tree, "drivers/vfio/a.c"), "-o", "drivers/vfio/a.o"]);
  compile(["--coverage", "drivers/vfio/a.o", "-o", "program"]);
  const run = (...args: string[]): Buffer => {
    try {
      execFileSync(join(objects, "program"), args);
    } catch {
      // The program counts its lines whatever its exit status.
    }
    return readFileSync(join(objects, "drivers/vfio/a.gcda"));
  };
  return { tree, objects, run };
}

let folder = "";
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "decode-archives-")));
  mkdirSync(join(folder, "archives"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function archive(number: number, test: string, path: string, data: Buffer, boot = "boot-1"): void {
  mkdirSync(join(folder, "archives", boot), { recursive: true });
  writeFileSync(join(folder, "archives", boot, `${number}.gcov`), encodeArchive({ test, files: [{ path, data }] }));
}

test("each test has what ran between its archive and the one before", async () => {
  const { tree, objects, run } = build(folder);
  const path = join(objects, "drivers/vfio/a.gcda");
  archive(0, "(boot)", path, run());
  archive(1, "a.third", path, run("one", "two"));
  archive(2, "a.first", path, run());
  // Another VM: its counters start at 0.
  rmSync(path);
  archive(0, "(boot)", path, run(), "boot-2");
  archive(1, "a.third", path, run("one", "two"), "boot-2");
  // The VM went down while it wrote this one.
  writeFileSync(join(folder, "archives/boot-1/3.gcov"), encodeArchive({ test: "a.lost", files: [] }).subarray(0, 4));
  const tests = await decodeArchives(join(folder, "archives"), { tree, isWanted: (file) => file.endsWith(".c") });
  const lines = (id: string): Record<string, number> =>
    Object.fromEntries(tests.get(id)?.get("drivers/vfio/a.c")?.lines ?? []);
  expect([...tests.keys()]).toEqual(["(boot)", "a.third", "a.first"]);
  expect(lines("a.third")).toMatchObject({ 2: 2, 5: 0, 10: 2, 11: 0 });
  expect(lines("a.first")).toMatchObject({ 2: 0, 5: 1, 10: 0, 11: 1 });
});

test("counters of a kernel whose build folder is gone are told", async () => {
  archive(0, "a.test", "/nowhere/build/a.gcda", Buffer.from("counters"));
  await expect(decodeArchives(join(folder, "archives"), { tree: folder, isWanted: () => true })).rejects.toMatchObject({
    code: "ERR_LAB_KERNEL_NOT_BUILT",
  });
});

test("a gcov that is not there, or of another compiler, is told", async () => {
  const { tree, objects, run } = build(folder);
  const path = join(objects, "drivers/vfio/a.gcda");
  archive(0, "a.test", path, run());
  const options = { tree, isWanted: () => true };
  await expect(decodeArchives(join(folder, "archives"), { ...options, gcov: "/no/gcov" })).rejects.toMatchObject({
    remedy: expect.stringContaining("install gcc") as string,
  });
  const other = readFileSync(path);
  other.writeUInt32LE(0x41343200, 4);
  archive(0, "a.test", path, other);
  await expect(decodeArchives(join(folder, "archives"), options)).rejects.toThrow(/version/);
});
