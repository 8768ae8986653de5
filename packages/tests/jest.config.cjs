module.exports = {
  ...require("../../jest.config.base.cjs"),
  // A skipped test tells why; the report groups the reasons.
  testEnvironment: "@vfio-selftests/harness/jest-environment",
  reporters: ["@vfio-selftests/harness/reporter"],
  // A device has one user at a time.
  maxWorkers: 1,
};
