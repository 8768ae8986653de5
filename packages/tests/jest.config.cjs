module.exports = {
  ...require("../../jest.config.base.cjs"),
  // A skipped test tells why; the report groups the reasons.
  testEnvironment: "@vfio-selftests/suites/jest-environment",
  reporters: ["@vfio-selftests/suites/reporter"],
  // A device has one user at a time.
  maxWorkers: 1,
  testTimeout: 30_000,
};
