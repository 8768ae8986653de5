module.exports = {
  ...require("../../jest.config.base.cjs"),
  // A skipped test tells why; the report groups the reasons.
  testEnvironment: "@vfio-selftests/harness/jest-environment",
  reporters: ["@vfio-selftests/harness/reporter"],
  // In the lab's VM all that the kernel says is about the tests.
  ...(process.env.VFIO_SELFTESTS_LAB !== undefined && { testEnvironmentOptions: { kernelLog: { after: "boot" } } }),
  // A device has one user at a time.
  maxWorkers: 1,
};
