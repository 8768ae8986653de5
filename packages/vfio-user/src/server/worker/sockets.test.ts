import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Iommu } from "@vfio-selftests/core";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { VfioUserMode } from "../../client/vfio-user-mode";
import { startScratchModel } from "../../testing/model-thread";
import type { ModelWorker } from "./model-worker";

let directory = "";
let worker: ModelWorker | undefined;
let fdsBefore = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "worker-sockets-"));
  fdsBefore = openDescriptors();
});
afterEach(async () => {
  await worker?.close();
  expect(openDescriptors()).toBe(fdsBefore);
  rmSync(directory, { recursive: true });
});

function use(address: string, fd?: number): void {
  using iommu = new Iommu(new VfioUserMode({ connectModel: () => ({ fd: fd ?? -1 }) }).open());
  expect(iommu.openDevice(address).info.regionCount).toBe(9);
}

test("an inherited listening socket is served, and stays its owner's", async () => {
  const path = join(directory, "inherited.sock");
  const fd = native.unixListen(path, 4);
  worker = startScratchModel({ fd });
  await worker.whenReady();
  for (let client = 0; client < 2; client += 1) use(`vfio-user:${path}`);
  await worker.close();
  expect(existsSync(path)).toBe(true);
  expect(native.close(fd)).toBe(0);
});

test("an inherited connection is served until its client goes", async () => {
  const pair = native.socketpair();
  if (typeof pair === "number") throw new Error("no socket pair");
  worker = startScratchModel({ fd: pair[1] });
  use("model:scratch", pair[0]);
  await worker.ended;
});

test.each([
  ["a file", () => native.memfdCreate("file", 0)],
  ["nothing", () => 99_999],
])("a descriptor of %s is refused", (_name, make) => {
  const fd = make();
  expect(() => startScratchModel({ fd })).toThrow(/a Unix stream socket, listening or connected/);
  if (fd < 99_999) native.close(fd);
});

test("clients that come and go leave no memory behind", async () => {
  const path = join(directory, "leak.sock");
  worker = startScratchModel({ socketPath: path });
  await worker.whenReady();
  const megabytes = async (clients: number) => {
    for (let client = 0; client < clients; client += 1) {
      const fd = native.unixConnect(path);
      native.close(fd);
      await new Promise((resolve) => setTimeout(resolve, 2)); // at most one waits in the queue
    }
    // Not the resident memory, because most of a connection's is never touched.
    return (Number(readFileSync("/proc/self/statm", "utf8").split(" ")[0]) * 4096) / 2 ** 20;
  };
  const before = await megabytes(20);
  expect((await megabytes(500)) - before).toBeLessThan(500); // 2 MiB each otherwise
}, 30_000);

test("force ends a model that never returns, and its socket file goes at once", async () => {
  const module = join(directory, "stuck.cjs");
  writeFileSync(
    module,
    `exports.createModel = () => ({
       name: "stuck", regions: new Map(), irqs: new Map(), attach() {}, reset() {}, step() { for (;;); },
     });`,
  );
  const path = join(directory, "stuck.sock");
  worker = startScratchModel({ module, socketPath: path });
  await worker.whenReady();
  const fd = native.unixConnect(path); // a client, so the model's step runs
  await new Promise((resolve) => setTimeout(resolve, 50));
  const start = performance.now();
  const closed = worker.close({ graceMs: 50 });
  expect(existsSync(path)).toBe(false);
  await closed;
  expect(performance.now() - start).toBeLessThan(1000);
  native.close(fd);
});

test("an unusable path is an error of the worker's constructor", () => {
  expect(() => startScratchModel({ socketPath: join(directory, "no", "where") })).toThrow(/listen/);
});
