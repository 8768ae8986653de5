import { isOlderThan, requireBrought } from "./brought-by-linux";

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

// IOMMU_IOAS_MAP_FILE came with 6.13.
test.each([
  ["an older kernel that lacks it skips", "6.12.1", false, true],
  ["an older kernel that has it all the same runs", "6.12.1", true, false],
  ["a younger kernel that has lost it runs, and may fail", "6.13.0", false, false],
])("%s", (_, kernel, has, skips) => {
  const ask = () => requireBrought("IOMMU_IOAS_MAP_FILE", () => has, kernel);
  if (skips) expect(ask).toThrow("Linux 6.12.1 has no IOMMU_IOAS_MAP_FILE");
  else expect(ask).not.toThrow();
});
