// Shows docs/kernel-findings/acpi-out-of-memory-while-opening.md: opens a device while one allocation after the other fails,
// until KASAN reports ACPI's use after free. The kernel is good for nothing afterwards: for the lab's VM alone.
const { execFileSync } = require("node:child_process");
const { writeFileSync } = require("node:fs");
const { Iommu, PciDevice } = require("../../packages/core");
const { createModes } = require("../../packages/iommu-modes");
const { FailingCalls } = require("../../packages/suites/dist/faults/failing-calls");

const MOST_PLACES = 4000;
if (process.env.VFIO_SELFTESTS_LAB === undefined)
  throw new Error("run it in the lab's VM: pnpm vfio lab run -- node …");
const [address] = (process.env.VFIO_SELFTESTS_BDF ?? "").split(/[\s,]+/);

for (const kind of ["failslab", "fail_page_alloc"]) {
  writeFileSync(`/sys/kernel/debug/${kind}/ignore-gfp-wait`, "N");
  writeFileSync(`/sys/kernel/debug/${kind}/verbose`, "0");
}
writeFileSync("/sys/kernel/debug/fail_page_alloc/min-order", "0");

const calls = new FailingCalls();
const mode = createModes(calls.kernel).find(({ name }) => name === "iommufd");
for (let n = 1; n <= MOST_PLACES; n++) {
  const iommu = new Iommu(mode.open());
  let device;
  const { call } = calls.during(n, () => void (device = PciDevice.open(iommu, address)));
  device?.close();
  iommu.close();
  const reports = execFileSync("dmesg", { encoding: "utf8", maxBuffer: 2 ** 28 }).match(/BUG: KASAN: .*/g);
  if (reports !== null) {
    console.log(`after the fault at place ${n} (${call}): ${reports[0]}`);
    process.exit(1);
  }
  if (call === undefined) {
    console.log(`${n - 1} places of opening a device failed, and KASAN reports nothing`);
    process.exit(0);
  }
}
