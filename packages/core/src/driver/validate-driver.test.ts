import type { Driver } from "./driver";
import { driverOfModule, validateDriver } from "./validate-driver";

const failure = (fields: { code: string; subject: string }): Error => expect.objectContaining(fields) as Error;

const driver: Driver = {
  name: "acme",
  ids: [{ vendor: 0x1234, device: 0x5678 }],
  regionSize: 4096,
  create: () => {
    throw new Error("not in this test");
  },
};

test.each([
  ["module.exports", driver],
  ["export const driver", { driver }],
  ["export default", { default: driver }],
  ["both", { driver, default: {} }],
  ["a CommonJS default export loaded as an ES module", { default: { default: driver } }],
  ["a CommonJS named export loaded as an ES module", { default: { driver } }],
])("takes the driver from %s", (_, exported) => {
  expect(driverOfModule(exported, "acme-driver")).toBe(driver);
});

test("accepts a driver that only probes", () => {
  const { ids: _, ...probing } = { ...driver, probe: () => true as const };
  expect(validateDriver(probing, "acme-driver")).toBe(probing);
});

test.each<[string, unknown, string]>([
  ["nothing", undefined, "the export is undefined, must be an object"],
  ["a function", () => driver, "the export is a function, must be an object"],
  [
    "an empty object",
    {},
    "name is missing, must be a non-empty string; regionSize is missing, must be a number of bytes, at least 1; " +
      "create is missing, must be a function; ids and probe are missing, at least one must be there",
  ],
  [
    "hidden faults without a reason",
    { ...driver, hiddenFaults: { kinds: ["lost"] } },
    'hiddenFaults.kinds is an array, must be an array of "unmapped" and "read-only"; ' +
      "hiddenFaults.why is undefined, must be a non-empty string",
  ],
  ["a name of another type", { ...driver, name: 7 }, "name is 7, must be a non-empty string"],
  ["an empty name", { ...driver, name: "" }, 'name is "", must be a non-empty string'],
  ["a region size of 0", { ...driver, regionSize: 0 }, "regionSize is 0, must be a number of bytes, at least 1"],
  ["no ids at all", { ...driver, ids: [] }, "ids is an empty array, must be an array of at least one"],
  [
    "ids out of range",
    { ...driver, ids: [{ vendor: 1, device: 2 }, { vendor: 0x10000 }] },
    "ids[1].vendor is 65536, must be an integer from 0 to 0xffff; ids[1].device is undefined, must be",
  ],
  ["a probe that cannot be called", { ...driver, probe: true }, "probe is a boolean, must be a function"],
])("refuses %s and names every fault", (_, exported, message) => {
  expect(() => driverOfModule(exported, "acme-driver")).toThrow(
    failure({ code: "ERR_INVALID_DRIVER", subject: "acme-driver" }),
  );
  expect(() => driverOfModule(exported, "acme-driver")).toThrow(`acme-driver does not export a driver: ${message}`);
});
