import { closeSync, constants, openSync } from "node:fs";
import { native } from "./index";
import * as linux from "./testing/linux";
import { succeeded } from "./testing/succeeded";

const mebibyte = 2 ** 20;

/** A `struct ifconf` that asks for `length` bytes of interface addresses. */
function ifconf(length: number): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setInt32(0, length, true);
  bytes.fill(0xa5, 8);
  return bytes;
}

const lengthIn = (bytes: Uint8Array): number => new DataView(bytes.buffer).getInt32(0, true);

describe("ioctl", () => {
  let left: number;
  let right: number;
  beforeAll(() => ([left, right] = succeeded(native.socketpair())));
  afterAll(() => {
    native.close(left);
    native.close(right);
  });

  it("passes bytes by address and copies the answer back", () => {
    native.write(left, Buffer.from("12345"));
    const memory = new Uint8Array(12).fill(0xff);
    expect(native.ioctl(right, linux.FIONREAD, memory.subarray(4, 8))).toBe(0);
    expect([...memory]).toEqual([255, 255, 255, 255, 5, 0, 0, 0, 255, 255, 255, 255]);
    native.read(right, new Uint8Array(5));
  });

  it("tells the kernel's error", () => {
    const file = openSync("/dev/null", constants.O_RDONLY);
    expect(native.ioctl(file, linux.FIONREAD, new Uint8Array(4))).toBe(-linux.ENOTTY);
    closeSync(file);
    expect(native.ioctl(-1, linux.FIONREAD, new Uint8Array(4))).toBe(-linux.EBADF);
  });

  it("takes a request number with the top bit as unsigned or as JavaScript's bit operators give it", () => {
    const ioc = 0xc000_3b71;
    expect(native.ioctl(left, ioc, new Uint8Array(4))).toBe(-linux.ENOTTY);
    expect(native.ioctl(left, ioc | 0, new Uint8Array(4))).toBe(-linux.ENOTTY);
  });

  it("passes numbers and bigints by value", () => {
    // FIONBIO takes an address. No memory has these values as addresses.
    const FIONBIO = 0x5421;
    expect(native.ioctl(left, FIONBIO)).toBe(-linux.EFAULT);
    expect(native.ioctl(left, FIONBIO, 1)).toBe(-linux.EFAULT);
    expect(native.ioctl(left, FIONBIO, 2n ** 64n - 8n)).toBe(-linux.EFAULT);
  });

  it("ends in EFAULT, not in foreign memory, when the argument is shorter than the request needs", () => {
    const short = new Uint8Array(2).fill(7);
    expect(native.ioctl(left, linux.FIONREAD, short)).toBe(-linux.EFAULT);
    expect([...short]).toEqual([7, 7]);
    expect(native.ioctl(left, linux.FIONREAD, new Uint8Array(0))).toBe(-linux.EFAULT);
  });

  it("links a buffer, copies it back, and restores the pointer field", () => {
    const argument = ifconf(40);
    const list = new Uint8Array(40);
    expect(native.ioctl(left, linux.SIOCGIFCONF, argument, 8, list)).toBe(0);
    expect(lengthIn(argument)).toBe(40); // fails where no interface has an IPv4 address: ip link set lo up
    expect(Buffer.from(list).toString("latin1", 0, 16)).toMatch(/^[\w.@-]+\0/);
    expect([...argument.subarray(8)]).toEqual(Array(8).fill(0xa5));
  });

  it("ends in EFAULT when a linked buffer is shorter than its length field says", () => {
    const argument = ifconf(40);
    const list = new Uint8Array(24);
    expect(native.ioctl(left, linux.SIOCGIFCONF, argument, 8, list)).toBe(-linux.EFAULT);
    expect([...argument.subarray(8)]).toEqual(Array(8).fill(0xa5));
  });

  it("stages up to 1 MiB in the argument and in each of four links", () => {
    const argument = new Uint8Array(mebibyte);
    const links = [0, 8, 16, 24].flatMap((offset) => [offset, new Uint8Array(mebibyte).fill(offset)]);
    expect(native.ioctl(left, 0x3b71, argument, ...links)).toBe(-linux.ENOTTY);
    expect((links[7] as Uint8Array).every((byte) => byte === 24)).toBe(true);
    expect(argument.every((byte) => byte === 0)).toBe(true);
  });

  const word = new Uint8Array(8);
  const cases: [string, () => unknown, string][] = [
    [
      "a string argument",
      () => native.ioctl(0, 1, "x" as never),
      'ioctl: argument is "x"; allowed is undefined, a num',
    ],
    ["an object", () => native.ioctl(0, 1, {} as never), "ioctl: argument is an object; allowed is a Uint8Array"],
    ["a fraction by value", () => native.ioctl(0, 1, 0.5), "ioctl: argument is 0.5"],
    ["a bigint beyond 64 bits", () => native.ioctl(0, 1, 2n ** 64n), "ioctl: argument is 18446744073709551616n"],
    ["a request beyond 32 bits", () => native.ioctl(0, 2 ** 32, word), "ioctl: request is 4294967296"],
    ["more than 1 MiB", () => native.ioctl(0, 1, new Uint8Array(mebibyte + 1)), "the length of argument is 1048577"],
    ["a link without bytes", () => native.ioctl(0, 1, word, 0), "ioctl: a link is undefined"],
    ["a link past the end", () => native.ioctl(0, 1, word, 1, word), "a link's offset is 1; allowed is an integer"],
    ["a link at a negative offset", () => native.ioctl(0, 1, word, -8, word), "a link's offset is -8"],
    ["a link in a short argument", () => native.ioctl(0, 1, new Uint8Array(4), 0, word), "less than 8 bytes"],
    ["a link to a number", () => native.ioctl(0, 1, 5, 0, word), "ioctl: argument is 5; allowed is bytes where"],
    [
      "five links",
      () => native.ioctl(0, 1, word, ...Array<[number, Uint8Array]>(5).fill([0, word]).flat()),
      "the number of links is 5",
    ],
    [
      "a link over 1 MiB",
      () => native.ioctl(0, 1, word, 0, new Uint8Array(mebibyte + 1)),
      "ioctl: the length of a link is 1048577; allowed is at most 1048576 bytes",
    ],
  ];
  it.each(cases)("refuses %s", (_name, call, message) => {
    expect(call).toThrow(message);
  });
});
