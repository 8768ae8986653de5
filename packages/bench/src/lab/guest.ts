/** The benchmark's part that runs in the lab's guest, or on any machine with a device. Prints JSON. */
import { environmentOptions } from "@vfio-selftests/harness";
import type { BenchResult } from "@vfio-selftests/harness/reports";
import { iommuModes } from "@vfio-selftests/iommu-modes";
import { benchDeviceOpen } from "./device-open";
import { benchMapUnmap } from "./map-unmap";

const rounds = Number(process.argv[2] ?? 5);
const [address] = environmentOptions().devices;
if (address === undefined) {
  console.error(
    "VFIO_SELFTESTS_BDF names no device\n  Remedy: run in the lab (pnpm bench), or set it to a device bound to vfio-pci",
  );
  process.exit(2);
}
const results: BenchResult[] = [];
for (const mode of iommuModes) {
  const availability = mode.availability();
  if (!availability.available) {
    console.error(`${mode.name}: not measured: ${availability.reason}\n  Remedy: ${availability.remedy}`);
    continue;
  }
  console.error(`${mode.name} …`);
  results.push(...benchMapUnmap(mode, address, rounds), ...benchDeviceOpen(mode, address, rounds));
}
console.log(JSON.stringify(results));
