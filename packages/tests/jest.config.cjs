module.exports = {
  ...require("../../jest.config.base.cjs"),
  // The report groups the skipped tests by their reasons.
  testEnvironment: "@vfio-selftests/harness/jest-environment",
  reporters: ["@vfio-selftests/harness/reporter"],
  // In the lab's VM every kernel report comes from the tests.
  ...(process.env.VFIO_SELFTESTS_LAB !== undefined && { testEnvironmentOptions: { kernelLog: { after: "boot" } } }),
  // A device has one user at a time.
  maxWorkers: 1,
};
