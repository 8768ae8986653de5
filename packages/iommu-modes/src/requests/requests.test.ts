import fc from "fast-check";
import type { SetIrqs } from "@vfio-selftests/core";
import { encodeIoctl } from "../kernel/ioctl";
import { vfTokenBytes } from "../kernel/vf-token";
import { getDeviceFd } from "./container";
import { setIrqs } from "./device";
import { decodeType1Info } from "./type1-info";

it("decodeType1Info survives any reply: the information, or an error of ours", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
      try {
        decodeType1Info(bytes);
      } catch (error) {
        expect((error as { code: string }).code).toMatch(/^ERR_/);
      }
    }),
  );
});

const encodeSetIrqs = (request: SetIrqs) => encodeIoctl(setIrqs, request).view.bytes;
const groupDeviceName = (address: string, token?: string) => getDeviceFd(address, token).argument as Uint8Array;

describe("VFIO_DEVICE_SET_IRQS", () => {
  const words = (bytes: Uint8Array) => [...new Int32Array(bytes.slice(0, bytes.length & ~3).buffer)];

  it("sets eventfds, -1 for none", () => {
    const bytes = encodeSetIrqs({ index: 2, action: "trigger", start: 1, count: 2, data: { eventfds: [7, -1] } });
    expect(words(bytes)).toEqual([28, 0x24, 2, 1, 2, 7, -1]);
  });

  it("disables an index", () => {
    expect(words(encodeSetIrqs({ index: 1, action: "trigger", start: 0, count: 0 }))).toEqual([20, 0x21, 1, 0, 0]);
  });

  it("passes booleans as bytes", () => {
    const bytes = encodeSetIrqs({ index: 0, action: "mask", start: 0, count: 3, data: { bools: [true, false, true] } });
    expect(words(bytes)).toEqual([23, 0x0a, 0, 0, 3]);
    expect([...bytes.slice(20)]).toEqual([1, 0, 1]);
  });

  it("refuses a count that its data does not have", () => {
    const request = { index: 0, action: "unmask", start: 0, count: 1, data: { eventfds: [] } } as const;
    expect(() => encodeSetIrqs(request)).toThrow("count is 1; allowed: 0, the number of values given");
  });
});

describe("VF tokens", () => {
  const TOKEN = "83F2AB01-0000-4567-89ab-cdef01234567";

  it("are the UUID's bytes in the order of its text, or the text after the device's name", () => {
    expect(Buffer.from(vfTokenBytes(TOKEN)).toString("hex")).toBe("83f2ab010000456789abcdef01234567");
    expect(Buffer.from(groupDeviceName("0000:01:10.0", TOKEN)).toString()).toBe(`0000:01:10.0 vf_token=${TOKEN}\0`);
    expect(Buffer.from(groupDeviceName("0000:01:10.0", undefined)).toString()).toBe("0000:01:10.0\0");
  });

  it.each(["", "83f2ab01", `${TOKEN}0`, `${TOKEN} `])("are refused when they are no UUID: %j", (token) => {
    expect(() => vfTokenBytes(token)).toThrow("a UUID");
    expect(() => groupDeviceName("0000:01:10.0", token)).toThrow("a UUID");
  });
});
