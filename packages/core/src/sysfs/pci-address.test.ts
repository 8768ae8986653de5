import fc from "fast-check";
import { formatPciAddress, normalizePciAddress, parsePciAddress } from "./pci-address";

const address = fc.record({
  domain: fc.integer({ min: 0, max: 0xffff }),
  bus: fc.integer({ min: 0, max: 0xff }),
  device: fc.integer({ min: 0, max: 0x1f }),
  function: fc.integer({ min: 0, max: 7 }),
});

describe("PCI addresses", () => {
  it("survive being written and parsed", () => {
    fc.assert(
      fc.property(address, (value) => {
        expect(parsePciAddress(formatPciAddress(value))).toEqual(value);
      }),
    );
  });

  it("may leave out domain 0 and leading zeros, in either case", () => {
    expect(normalizePciAddress("6a:01.0")).toBe("0000:6a:01.0");
    expect(normalizePciAddress("1:6A:1.7")).toBe("0001:6a:01.7");
    expect(normalizePciAddress("10000:e1:00.0")).toBe("10000:e1:00.0");
  });

  it.each([
    "",
    "6a",
    "6a:01",
    "6a:20.0",
    "6a:01.8",
    "16a:01.0",
    "0000:6a:01.0 ",
    "x:6a:01.0",
    "6a:01.0\n",
    "::.",
    "0000:6a:01:0",
  ])("refuse %j, saying what is allowed", (text) => {
    expect(parsePciAddress(text)).toBeUndefined();
    expect(() => normalizePciAddress(text)).toThrow("DDDD:BB:DD.F or BB:DD.F");
  });

  it("parse any text to a valid address or to nothing", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9a-fA-F:.]{0,14}$/), (text) => {
        const parsed = parsePciAddress(text);
        if (parsed !== undefined) expect(parsePciAddress(formatPciAddress(parsed))).toEqual(parsed);
      }),
    );
  });
});
