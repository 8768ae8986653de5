import { native } from "./index";
import * as linux from "./testing/linux";
import { succeeded } from "./testing/succeeded";

describe("bindIoctl", () => {
  let left: number;
  let right: number;
  beforeAll(() => ([left, right] = succeeded(native.socketpair())));
  afterAll(() => {
    native.close(left);
    native.close(right);
  });

  function bind(fd: number, request: number, length = 8) {
    const bound = native.bindIoctl(fd, request, length);
    if (typeof bound === "number") throw new Error(`bindIoctl: ${bound}`);
    return bound;
  }

  it("leaves the kernel's answer in the argument, anew at every call", () => {
    const bound = bind(right, linux.FIONREAD);
    const answer = new Int32Array(bound.argument);
    const { call } = bound;
    expect(call()).toBeUndefined();
    expect(answer[0]).toBe(0);
    native.write(left, Buffer.from("12345"));
    expect(call()).toBeUndefined();
    expect(answer[0]).toBe(5);
    native.read(right, new Uint8Array(5));
    expect(bound.close()).toBe(0);
  });

  it("tells the kernel's error", () => {
    const bound = bind(-1, linux.FIONREAD);
    expect(bound.call()).toBe(-linux.EBADF);
    bound.close();
  });

  it("ends in EFAULT when the request reads more than the argument has", () => {
    const SIOCGIFNAME = 0x8910; // struct ifreq has 40 bytes
    const bound = bind(left, SIOCGIFNAME, 8);
    expect(bound.call()).toBe(-linux.EFAULT);
    bound.close();
  });

  it("is zeroed, closes once, and is refused afterwards", () => {
    const bound = bind(right, linux.FIONREAD, 4096);
    const view = new Uint8Array(bound.argument);
    expect(view.length).toBe(4096);
    expect(view.every((byte) => byte === 0)).toBe(true);
    expect(bound.close()).toBe(0);
    expect(bound.call()).toBe(-linux.EBADF);
    expect(bound.close()).toBe(-linux.EBADF);
  });

  it("may be closed also after its argument was transferred", () => {
    const bound = bind(right, linux.FIONREAD);
    // Only Node 22 and later can move the memory.
    const { transfer } = bound.argument as ArrayBuffer & { transfer?: () => ArrayBuffer };
    const moved = transfer?.call(bound.argument) ?? bound.argument;
    expect(bound.call()).toBeUndefined();
    expect(bound.close()).toBe(0);
    expect(bound.call()).toBe(-linux.EBADF);
    expect(new Uint8Array(moved).fill(42)[7]).toBe(42);
  });

  it("refuses lengths that no argument has", () => {
    expect(() => native.bindIoctl(right, linux.FIONREAD, 0)).toThrow("length is 0");
    expect(() => native.bindIoctl(right, linux.FIONREAD, 12)).toThrow("a multiple of 8");
    expect(() => native.bindIoctl(right, linux.FIONREAD, 8192)).toThrow("length is 8192");
  });
});
