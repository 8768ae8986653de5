import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { decodeArchive } from "@vfio-selftests/coverage";
import { GcovRecorder } from "./gcov-recorder";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gcov-recorder-"));
  const random = join(folder, "root/proc/sys/kernel/random");
  mkdirSync(random, { recursive: true });
  writeFileSync(join(random, "boot_id"), "1234-abcd\n");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function counters(name: string, text: string): void {
  const path = join(folder, "root/sys/kernel/debug/gcov/build", name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

const newRecorder = (): GcovRecorder => new GcovRecorder(join(folder, "archives"), join(folder, "root"));

const archives = (): unknown[] =>
  readdirSync(join(folder, "archives/1234-abcd"))
    .sort()
    .map((name) => {
      const { test, files } = decodeArchive(readFileSync(join(folder, "archives/1234-abcd", name)));
      return [test, Object.fromEntries(files.map(({ path, data }) => [path, Buffer.from(data).toString()]))];
    });

test("each archive has what changed since the last one; a test that ran nothing has none", () => {
  counters("drivers/vfio/a.gcda", "a0");
  counters("drivers/iommu/b.gcda", "b0");
  counters("drivers/iommu/b.gcno", "notes");
  const recorder = newRecorder();
  recorder.record("(boot)");
  counters("drivers/vfio/a.gcda", "a1");
  recorder.record("dma.map");
  recorder.record("dma.nothing");
  counters("drivers/vfio/a.gcda", "a2 longer");
  counters("drivers/iommu/b.gcda", "b2");
  recorder.record("dma.unmap");
  expect(archives()).toEqual([
    ["(boot)", { "/build/drivers/iommu/b.gcda": "b0", "/build/drivers/vfio/a.gcda": "a0" }],
    ["dma.map", { "/build/drivers/vfio/a.gcda": "a1" }],
    ["dma.unmap", { "/build/drivers/iommu/b.gcda": "b2", "/build/drivers/vfio/a.gcda": "a2 longer" }],
  ]);
});

test("the archives of a second process come after those of the first", () => {
  counters("drivers/vfio/a.gcda", "a0");
  newRecorder().record("(boot)");
  counters("drivers/vfio/a.gcda", "a1");
  newRecorder().record("dma.map");
  expect(archives()).toEqual([
    ["(boot)", { "/build/drivers/vfio/a.gcda": "a0" }],
    ["dma.map", { "/build/drivers/vfio/a.gcda": "a1" }],
  ]);
});

test("a kernel that counts nothing is told, with the remedy", () => {
  expect(newRecorder).toThrow(
    expect.objectContaining({
      code: "ERR_NOT_SUPPORTED",
      remedy: expect.stringContaining("--with gcov") as string,
    }) as Error,
  );
});
