import { constants } from "node:os";
import { native } from "./index";
import { openDescriptors } from "./testing/open-descriptors";
import { nonNegative, succeeded } from "./testing/succeeded";

const { EINVAL, EPIPE, ETIMEDOUT, EBADF } = constants.errno;

describe("a socket bound to its memory", () => {
  let left: number;
  let right: number;
  let before: number;
  const output = new Uint8Array(64);
  const input = new Uint8Array(64);
  const fds = new Int32Array(2 + 3);

  beforeEach(() => {
    before = openDescriptors();
    [left, right] = succeeded(native.socketpair());
    output.fill(0);
    input.fill(0);
    fds.fill(-7);
  });
  afterEach(() => {
    native.close(left);
    native.close(right);
    expect(openDescriptors()).toBe(before);
  });

  it("sends the beginning of the output and receives anywhere into the input", () => {
    const { send } = native.bindSocket(left, output, input, fds);
    const { receive } = native.bindSocket(right, output, input, fds);
    output.set([1, 2, 3, 4]);
    expect(send(3, 1000)).toBe(0);
    expect(receive(10, 54, 0, 1000)).toBe(3);
    expect([...input.subarray(9, 15)]).toEqual([0, 1, 2, 3, 0, 0]);
    expect([...fds.subarray(0, 3)]).toEqual([0, 0, -7]);
    expect(send(4, 0)).toBe(0);
    expect(receive(0, 2, 1000, 0)).toBe(2);
    expect(receive(2, 62, 0, 0)).toBe(2);
  });

  it.each([
    [2, 2, 0],
    [3, 3, 0],
    [5, 3, 1],
  ])("of %i descriptors gives %i, and says whether there were more", (count, given, truncated) => {
    const { receive } = native.bindSocket(right, output, input, fds);
    const sent = Array.from({ length: count }, () => nonNegative(native.eventfd(9, 0)));
    native.sendMessage(left, [Buffer.from("x")], sent, 1000);
    sent.forEach(native.close);
    expect(receive(0, 64, 0, 1000)).toBe(1);
    expect([fds[0], fds[1]]).toEqual([given, truncated]);
    for (const fd of fds.subarray(2, 2 + given)) {
      expect(native.read(fd, new Uint8Array(8))).toBe(8);
      native.close(fd);
    }
  });

  it("gives the errors of the kernel, and the end of the stream", () => {
    const bound = native.bindSocket(left, output, input, fds);
    expect(bound.receive(0, 64, 0, 0)).toBe(-ETIMEDOUT);
    expect(bound.receive(0, 64, 100, 1)).toBe(-ETIMEDOUT);
    native.close(right);
    expect(bound.receive(0, 64, 0, 1000)).toBe(0);
    expect(bound.send(1, 1000)).toBe(-EPIPE);
    expect(native.bindSocket(right, output, input, fds).send(1, 0)).toBe(-EBADF);
    right = nonNegative(native.dup(0));
  });

  it("says so when the peer does not read", () => {
    const big = new Uint8Array(4 << 20);
    expect(native.bindSocket(left, big, input, fds).send(big.length, 20)).toBe(-ETIMEDOUT);
  });

  it.each([
    ["a length of 0", 0, 10],
    ["more than the output", 65, 10],
    ["a negative length", -1, 10],
    ["no number", "4" as unknown as number, 10],
    ["a negative time-out", 4, -1],
    ["a time-out of more than a minute", 4, 60_001],
  ])("refuses to send %s", (_name, length, timeout) => {
    expect(native.bindSocket(left, output, input, fds).send(length, timeout)).toBe(-EINVAL);
  });

  it.each([
    ["behind the end", 60, 5, 0, 0],
    ["before the beginning", -1, 5, 0, 0],
    ["nothing", 0, 0, 0, 0],
    ["while spinning too long", 0, 5, 1001, 0],
    ["for too long", 0, 5, 0, 60_001],
    ["with an offset near 2^63", 2 ** 63, 5, 0, 0],
  ])("refuses to receive %s", (_name, ...numbers) => {
    expect(native.bindSocket(left, output, input, fds).receive(...numbers)).toBe(-EINVAL);
  });

  it("refuses memory that has been detached, and too little of it for descriptors", () => {
    const gone = new Uint8Array(8);
    const bound = native.bindSocket(left, gone, gone, fds);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(bound.send(1, 0)).toBe(-EINVAL);
    expect(bound.receive(0, 1, 0, 0)).toBe(-EINVAL);
    expect(native.bindSocket(left, output, input, new Int32Array(1)).receive(0, 1, 0, 0)).toBe(-EINVAL);
    const bytes = new Uint8Array(32) as unknown as Int32Array;
    expect(() => native.bindSocket(left, output, input, bytes.subarray(1))).toThrow("Int32Array");
    expect(() => native.bindSocket(left, "x" as unknown as Uint8Array, input, fds)).toThrow("output");
  });
});
