import { constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { native } from "./index";
import * as linux from "./testing/linux";
import { openDescriptors } from "./testing/open-descriptors";
import { nonNegative } from "./testing/succeeded";

const { O_CREAT, O_RDWR, O_RDONLY } = constants;

describe("file descriptors", () => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), "native-"))));
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it("opens, writes at an offset, reads back, and closes", () => {
    const path = join(directory, "file");
    const fd = nonNegative(native.open(path, O_RDWR | O_CREAT, 0o600));
    expect(native.pwrite(fd, Buffer.from("world"), 6n)).toBe(5);
    expect(native.pwrite(fd, Buffer.from("hello "), 0)).toBe(6);
    const into = Buffer.alloc(20);
    expect(native.pread(fd, into, 0n)).toBe(11);
    expect(into.toString("latin1", 0, 11)).toBe("hello world");
    expect(native.pread(fd, into, 11)).toBe(0);
    expect(native.close(fd)).toBe(0);
    expect(native.close(fd)).toBe(-linux.EBADF);
    expect(native.pread(fd, into, 0)).toBe(-linux.EBADF);
    expect(readFileSync(path, "latin1")).toBe("hello world");
  });

  it("tells the kernel's error", () => {
    expect(native.open(join(directory, "absent"), O_RDWR)).toBe(-linux.ENOENT);
    expect(native.open(directory, O_RDONLY, 0)).toBeGreaterThan(0);
    expect(native.pread(-1, new Uint8Array(1), 0)).toBe(-linux.EBADF);
  });

  it("opens everything close-on-exec", () => {
    const fds = [
      native.open("/dev/null", O_RDWR),
      native.memfdCreate("memory", 0),
      native.eventfd(0, 0),
      native.dup(0),
    ].map(nonNegative);
    expect(fds.map((fd) => native.fcntl(fd, linux.F_GETFD))).toEqual(fds.map(() => linux.FD_CLOEXEC));
    fds.forEach(native.close);
  });

  it("touches only the viewed range", () => {
    const fd = nonNegative(native.memfdCreate("view", 0));
    native.pwrite(fd, Buffer.from("abcdefgh"), 0);
    const memory = new Uint8Array(16).fill(0xff);
    expect(native.pread(fd, memory.subarray(4, 8), 2)).toBe(4);
    expect([...memory]).toEqual([255, 255, 255, 255, ...Buffer.from("cdef"), ...Array<number>(8).fill(255)]);
    const words = new Uint16Array(memory.buffer, 4, 2);
    expect(native.pwrite(fd, words as unknown as Uint8Array, 100)).toBe(4);
    const view = new DataView(memory.buffer, 12, 2);
    expect(native.pread(fd, view as unknown as Uint8Array, 0)).toBe(2);
    expect([...memory.subarray(12)]).toEqual([...Buffer.from("ab"), 255, 255]);
    native.close(fd);
  });

  it("takes views of a SharedArrayBuffer", () => {
    const fd = nonNegative(native.memfdCreate("shared", 0));
    const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3).fill(9);
    expect(native.pwrite(fd, shared, 0)).toBe(3);
    expect(native.pwrite(fd, new Uint8Array(new SharedArrayBuffer(0)), 0)).toBe(0);
    native.close(fd);
  });

  it("counts an eventfd", () => {
    const fd = nonNegative(native.eventfd(3, linux.O_NONBLOCK));
    const counter = new BigUint64Array(1);
    const bytes = new Uint8Array(counter.buffer);
    counter[0] = 4n;
    expect(native.write(fd, bytes)).toBe(8);
    expect(native.read(fd, bytes)).toBe(8);
    expect(counter[0]).toBe(7n);
    expect(native.read(fd, bytes)).toBe(-linux.EAGAIN);
    native.close(fd);
  });

  it("seals a memfd by fcntl", () => {
    const fd = nonNegative(native.memfdCreate("sealed", linux.MFD_ALLOW_SEALING));
    expect(native.ftruncate(fd, 4096)).toBe(0);
    expect(native.fcntl(fd, linux.F_ADD_SEALS, linux.F_SEAL_SHRINK)).toBe(0);
    expect(native.fcntl(fd, linux.F_GET_SEALS)).toBe(linux.F_SEAL_SHRINK);
    expect(native.ftruncate(fd, 0)).toBe(-linux.EPERM);
    native.close(fd);
  });

  it("duplicates to an independent descriptor of the same file", () => {
    const fd = nonNegative(native.memfdCreate("twice", 0));
    const twin = nonNegative(native.dup(fd));
    native.close(fd);
    expect(native.pwrite(twin, Buffer.from("x"), 0)).toBe(1);
    expect(native.close(twin)).toBe(0);
    expect(native.dup(twin)).toBe(-linux.EBADF);
  });

  it("leaks none", () => {
    const before = openDescriptors();
    for (let round = 0; round < 100; round++) native.close(nonNegative(native.eventfd(0, 0)));
    expect(openDescriptors()).toBe(before);
  });
});

describe("wrong arguments", () => {
  const bytes = new Uint8Array(4);
  const detached = new Uint8Array(8);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });

  const cases: [string, () => unknown, string][] = [
    ["no path", () => native.open(undefined as never, 0), "open: path is undefined; allowed is a string"],
    ["a path of another type", () => native.open(7 as never, 0), "open: path is 7; allowed is a string"],
    ["NUL in a path", () => native.open("/dev/null\0x", 0), "without NUL characters"],
    ["a descriptor that is NaN", () => native.close(NaN), "close: fd is NaN; allowed is an integer"],
    ["a fractional descriptor", () => native.close(1.5), "close: fd is 1.5"],
    ["a huge descriptor", () => native.close(2 ** 40), "close: fd is 1099511627776"],
    ["a descriptor in a string", () => native.close("3" as never), 'close: fd is "3"'],
    ["a bigint descriptor", () => native.close(3n as never), "close: fd is 3n"],
    ["a symbol", () => native.close(Symbol("s") as never), "close: fd is a symbol"],
    ["bytes in a string", () => native.pread(0, "x" as never, 0), 'pread: into is "x"; allowed is a Uint8Array'],
    ["a bare ArrayBuffer", () => native.pread(0, new ArrayBuffer(4) as never, 0), "pread: into is an object"],
    ["an array", () => native.pwrite(0, [1, 2] as never, 0), "pwrite: from is an array"],
    ["a detached view", () => native.pread(0, detached, 0), "pread: into is a view of a detached ArrayBuffer"],
    ["a negative offset", () => native.pread(0, bytes, -1), "offset is -1; allowed is an integer from 0"],
    ["a negative bigint offset", () => native.pread(0, bytes, -1n), "offset is -1n"],
    ["an offset of 2^63", () => native.pread(0, bytes, 2n ** 63n), "offset is 9223372036854775808n"],
    ["an inexact offset", () => native.pread(0, bytes, 2 ** 53), "offset is 9007199254740992"],
    ["an infinite size", () => native.ftruncate(0, Infinity), "ftruncate: size is Infinity"],
    ["a mode beyond the bits", () => native.open("/dev/null", 0, 0o10000), "open: mode is 4096; allowed is an integer"],
    ["an initial value below 0", () => native.eventfd(-1, 0), "eventfd: initialValue is -1"],
    // Such a command would write to whatever address the number is.
    ["a command with an address", () => native.fcntl(0, linux.F_GETLK, 0), "fcntl: command is 5; allowed is a command"],
    [
      "a command that may get one",
      () => native.fcntl(0, 1039, 0x400000),
      "fcntl: command is 1039; allowed is a command",
    ],
  ];
  it.each(cases)("%s", (_name, call, message) => {
    expect(call).toThrow(message);
  });

  it("says which kind of error", () => {
    const nameOf = (call: () => unknown): string => {
      try {
        call();
      } catch (error) {
        return (error as Error).name;
      }
      return "none";
    };
    expect(nameOf(() => native.close("3" as never))).toBe("TypeError");
    expect(nameOf(() => native.close(1.5))).toBe("RangeError");
  });
});

describe("views", () => {
  // Node 24 and later have it. Node-API has no number for it in the first of them, and the addon refuses it there.
  const { Float16Array: Halves } = globalThis as { Float16Array?: new (length: number) => Uint8Array };
  (Halves === undefined ? it.skip : it)("of 16-bit floats have 2 bytes an element", () => {
    const fd = nonNegative(native.memfdCreate("halves", 0));
    expect(native.pwrite(fd, new Halves!(8), 0)).toBe(16);
    native.close(fd);
  });

  it.each([Int16Array, Float32Array, Float64Array, BigInt64Array])("of %p have all their bytes", (View) => {
    const fd = nonNegative(native.memfdCreate("elements", 0));
    expect(native.pwrite(fd, new View(8) as never, 0)).toBe(8 * View.BYTES_PER_ELEMENT);
    native.close(fd);
  });
});
