import { isOlderThan } from "./brought-by-linux";

test.each([
  ["6.12.117", "6.17", true],
  ["6.17.0-rc1", "6.17", false],
  ["6.9.1-amd64", "6.17", true],
  ["7.3.4", "6.19", false],
  ["5.15.0", "6.2", true],
  ["6.18", "6.17", false],
  ["10.0.1", "7.4", false],
])("whether Linux %s is older than %s: %s", (kernel, version, older) => {
  expect(isOlderThan(version, kernel)).toBe(older);
});
