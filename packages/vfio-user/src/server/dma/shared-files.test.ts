import { constants as fsConstants, readFileSync } from "node:fs";
import { constants } from "node:os";
import { openDescriptors } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import { dma_map, DMA_MAP_FILE_IO, DMA_MAP_MMAP, dma_unmap } from "../../protocol/structs";
import { body, RawClient } from "../../testing/raw-client";
import { ScratchModel } from "../../testing/scratch-model";
import type { DmaFault } from "../device-model";
import { GuardedWindow, WINDOW_SIZE } from "./file-window";
import type { SharedFile } from "./shared-file";
import { SharedFiles } from "./shared-files";

const { EACCES, EINVAL, EMFILE } = constants.errno;
const F_ADD_SEALS = 1033;
const F_SEAL_SHRINK = 2;
const MFD_ALLOW_SEALING = 2;
const RIGHTS = { readable: true, writable: true };
const TIB = 1024 ** 4;

let fdsBefore = 0;
let client: RawClient;
let fds: number[] = [];

beforeEach(() => {
  fdsBefore = openDescriptors();
  client = new RawClient(new ScratchModel()).greet();
});

afterEach(() => {
  client[Symbol.dispose]();
  for (const fd of fds) native.close(fd);
  fds = [];
  expect(openDescriptors()).toBe(fdsBefore);
  expect(mappings()).toBe(0);
});

/** Mappings of this process that are of the files below. */
function mappings(): number {
  return readFileSync("/proc/self/maps", "utf8").split("memfd:shared-files").length - 1;
}

/** A file in memory; `fds` closes it. */
function memfd(size: number, { sealed = true, flags = MFD_ALLOW_SEALING } = {}): number {
  const fd = native.memfdCreate("shared-files", flags);
  if (fd < 0) return fd;
  fds.push(fd);
  expect(native.ftruncate(fd, size)).toBe(0);
  if (sealed) expect(native.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK)).toBe(0);
  return fd;
}

function map(fd: number, size: number, { address = 0, offset = 0, flags = 3 } = {}): number {
  const content = body(dma_map, { argsz: 32, flags, offset, address, size });
  return client.ask("DMA_MAP", content, { fds: [fd] }).error;
}

/** Runs `use` as if in the model's step. */
function dma<Result>(use: (space: typeof client.device.dma) => Result): Result {
  const space = client.device.dma;
  space.allowed = true;
  try {
    return use(space);
  } finally {
    space.allowed = false;
  }
}

const failed = (iova: bigint, access: DmaFault["access"]) => ({ iova, reason: "failed", access });
const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => i * 7 + 1);

function contents(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  native.pread(fd, bytes, offset);
  return bytes;
}

describe.each([
  ["that its client could truncate", { sealed: false }, 3],
  ["that its client wants read and written", { sealed: true }, 3 | DMA_MAP_FILE_IO],
] as const)("a file %s", (_name, options, flags) => {
  test("is read and written by system calls, without a mapping and without a message", () => {
    const fd = memfd(8192, options);
    expect(map(fd, 4096, { offset: 4096, flags })).toBe(0);
    const data = pattern(1000);
    expect(dma((space) => space.write(24n, data))).toBeUndefined();
    expect(contents(fd, 4096 + 24, 1000)).toEqual(data);
    const back = new Uint8Array(1000);
    expect(dma((space) => space.read(24n, back))).toBeUndefined();
    expect(back).toEqual(data);
    expect(dma((space) => space.publish(64n, pattern(32)))).toBeUndefined();
    expect(contents(fd, 4096 + 64, 32)).toEqual(pattern(32));
    expect(dma((space) => space.view(0n, 8, "read"))).toBeUndefined();
    expect(mappings()).toBe(0);
    expect(client.receive()).toBeUndefined();
  });
});

test("a file that is truncated gives a fault where it ends", () => {
  const fd = memfd(8192, { sealed: false });
  map(fd, 8192);
  native.ftruncate(fd, 4096);
  expect(dma((space) => space.read(0n, new Uint8Array(8192)))).toEqual(failed(4096n, "read"));
  expect(client.receive()).toBeUndefined();
});

test("a trusted client's file is mapped, sealed or not, and the mmap flag wins over the file flag", () => {
  client[Symbol.dispose]();
  client = new RawClient(new ScratchModel(), { trustClients: true }).greet();
  map(memfd(4096, { sealed: false }), 4096);
  expect(dma((space) => space.view(0n, 8, "write"))?.length).toBe(8);
  map(memfd(4096), 4096, { address: 8192, flags: 3 | DMA_MAP_FILE_IO | DMA_MAP_MMAP });
  expect(dma((space) => space.view(8192n, 8, "write"))?.length).toBe(8);
});

const MFD_HUGETLB = 4;
const hugeProbe = native.memfdCreate("shared-files", MFD_HUGETLB);
if (hugeProbe >= 0) native.close(hugeProbe);

(hugeProbe >= 0 ? test : test.skip)("missing huge pages are a fault, sealed or not, and never a SIGBUS", () => {
  const size = 2 * 1024 * 1024;
  // To the kernel, an untouched file and a file with a punched hole are the same: it allocates a page at the first
  // touch. Where the pool of huge pages is empty, that touch is a SIGBUS.
  const fd = memfd(8 * size, { flags: MFD_HUGETLB | MFD_ALLOW_SEALING });
  // Sealed, but still not to be mapped for JavaScript.
  const files = new SharedFiles(false);
  const file = files.open(fd, 8 * size, RIGHTS) as SharedFile;
  expect(file.access).toBe("huge");
  files.release(file);
  expect(map(fd, 8 * size)).toBe(0);
  const free = Number(/HugePages_Free: +(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))?.[1]);
  const data = pattern(200);
  for (let page = 0; page < 8; page += 1) {
    const iova = BigInt(page * size + 20);
    expect(dma((space) => space.view(iova, 8, "write"))).toBeUndefined();
    expect(dma((space) => space.write(iova, data))).toEqual(page < free ? undefined : failed(iova, "write"));
    expect(contents(fd, Number(iova), 200)).toEqual(page < free ? data : new Uint8Array(200));
    const back = new Uint8Array(200);
    expect(dma((space) => space.read(iova, back))).toBeUndefined();
    expect(back).toEqual(page < free ? data : new Uint8Array(200));
    const record = dma((space) => space.publish(iova + 4n, data));
    expect(record).toEqual(page < free ? undefined : failed(iova + 12n, "write"));
  }
});

test("an immense sparse file is mapped at once, a window at a time where it is used", () => {
  const fd = memfd(16 * TIB);
  const start = performance.now();
  expect(map(fd, 16 * TIB)).toBe(0);
  expect(mappings()).toBe(0);
  const far = BigInt(16 * TIB - 4096);
  for (const iova of [0n, far, 1n << 40n]) {
    expect(dma((space) => space.write(iova + 8n, pattern(8)))).toBeUndefined();
    expect(contents(fd, Number(iova + 8n), 8)).toEqual(pattern(8));
  }
  expect(mappings()).toBe(3);
  // Across the end of a window.
  const edge = BigInt(WINDOW_SIZE) - 4n;
  expect(dma((space) => space.view(edge, 16, "read"))?.length).toBe(4);
  expect(dma((space) => space.write(edge, pattern(16)))).toBeUndefined();
  expect(contents(fd, Number(edge), 16)).toEqual(pattern(16));
  expect(client.ask("DMA_UNMAP", body(dma_unmap, { argsz: 24, address: 0, size: 16 * TIB })).error).toBe(0);
  expect(mappings()).toBe(0);
  expect(performance.now() - start).toBeLessThan(1000);
});

test("a descriptor must have the rights that the map gives, and not append", () => {
  const fd = memfd(4096);
  const again = (flags: number) => {
    const other = native.open(`/proc/self/fd/${fd}`, flags);
    fds.push(other);
    return other;
  };
  const readOnly = again(fsConstants.O_RDONLY);
  expect(map(readOnly, 4096)).toBe(EACCES);
  expect(map(readOnly, 4096, { flags: 1 })).toBe(0);
  expect(map(again(fsConstants.O_WRONLY), 4096, { address: 4096 })).toBe(EACCES);
  expect(map(again(fsConstants.O_RDWR | fsConstants.O_APPEND), 4096, { address: 4096 })).toBe(EINVAL);
  // The kernel refuses a mapping for writing, so the server reads the file instead.
  expect(dma((space) => space.read(0n, new Uint8Array(8)))).toBeUndefined();
});

test("each file costs one descriptor, and there is a limit", () => {
  for (let i = 0; i < 512; i += 1) expect(map(memfd(4096), 4096, { address: i * 8192 })).toBe(0);
  const one = memfd(4096);
  expect(map(one, 4096, { address: 2 ** 30 })).toBe(EMFILE);
  expect(map(fds[0] ?? -1, 4096, { address: 2 ** 30 })).toBe(0);
});

test("guarded stores put every byte where it belongs, and stop where a page is missing", () => {
  const fd = memfd(8192, { sealed: false });
  const window = GuardedWindow.map(fd, 0, 8192);
  if (window === undefined) throw new Error("not mapped");
  for (const [offset, length] of [
    [0, 64],
    [1, 200],
    [60, 8],
    [64, 8],
    [100, 4000],
    [4095, 1],
  ] as const) {
    native.ftruncate(fd, 0);
    native.ftruncate(fd, 8192);
    const data = pattern(length);
    expect(window.write(offset, data)).toBe(length);
    const expected = new Uint8Array(8192);
    expected.set(data, offset);
    expect(Buffer.compare(contents(fd, 0, 8192), expected)).toBe(0);
  }
  native.ftruncate(fd, 4096); // what is mapped behind the end is a SIGBUS now
  expect(window.write(4000, pattern(200))).toBe(96);
  expect(window.write(4096, pattern(8))).toBe(0);
  window.unmap();
});

describe("windows", () => {
  const opened = (files: SharedFiles, fd: number, end: number): SharedFile => {
    const file = files.open(fd, end, RIGHTS);
    if (typeof file === "number") throw new Error(`errno ${file}`);
    return file;
  };

  test("are limited in number, and idle ones make room for others between two steps", () => {
    const files = new SharedFiles(false, 2);
    const fd = memfd(4 * WINDOW_SIZE);
    const file = opened(files, fd, 4 * WINDOW_SIZE);
    const has = (window: number) => file.view(window * WINDOW_SIZE, 8) !== undefined;
    expect([has(0), has(1), has(2)]).toEqual([true, true, false]);
    // Without a window the bytes are still reachable.
    expect(file.write(2 * WINDOW_SIZE, pattern(8))).toBe(8);
    expect(contents(fd, 2 * WINDOW_SIZE, 8)).toEqual(pattern(8));
    expect(has(0)).toBe(true); // nothing goes within a step
    files.nextStep();
    expect([has(2), has(3), has(2), mappings()]).toEqual([true, true, true, 2]);
    for (let step = 0; step < 8; step += 1) {
      files.nextStep();
      expect([has(2), has(0)]).toEqual([true, step > 0]);
    }
    files.release(file);
    expect(mappings()).toBe(0);
  });

  test("reach the new end of a file that has grown", () => {
    const files = new SharedFiles(false);
    const fd = memfd(4096);
    const file = opened(files, fd, 4096);
    expect(file.view(0, 8192)?.length).toBe(4096);
    native.ftruncate(fd, 12288);
    expect(opened(files, fd, 12288)).toBe(file);
    expect(file.view(0, 16384)?.length).toBe(12288);
    files.release(file);
    expect(mappings()).toBe(1);
    files.release(file);
  });
});
