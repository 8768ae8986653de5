import { DmaMemory } from "@vfio-selftests/core";
import { KernelFile, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { lockedMemory } from "../ordinary-user/locked-memory";
import { IommufdFile } from "../raw/iommufd-files";
import { PinDevice, type PinOutcome } from "./pin-device";
import { mapInContainer, mapInIoas } from "./pin-mapping";
import { DEVICE, OWN_BYTE, type PinRequest, type PinStep, type PinStepResult, SPACE } from "./pin-steps";

const RLIMIT_MEMLOCK = 8;
const page = native.pageSize();

/** The program of {@link pinSteps}: takes the steps, and prints a result for each. Its memory and its files end with it. */
const { ioas, limitPages, steps } = JSON.parse(process.argv[2] ?? "") as PinRequest;
if (limitPages !== undefined) native.setResourceLimit(RLIMIT_MEMLOCK, limitPages * page, limitPages * page);
const device = new PinDevice(new KernelFile(realKernel, DEVICE, "the device"));
const space = new KernelFile(realKernel, SPACE, "the address space");
const kept: DmaMemory[] = [];
const before = lockedMemory();
const results = steps.map((step): PinStepResult => {
  const answer = take(step);
  const { locked, pinned } = lockedMemory();
  return { bytes: [], frames: [], ...answer, counted: [locked - before.locked, pinned - before.pinned] };
});
console.log(JSON.stringify(results));

function take(step: PinStep): { outcome: PinOutcome; bytes?: number[]; frames?: string[] } {
  const iova = BigInt(step.iova);
  switch (step.do) {
    case "map":
      return { outcome: mapOwn(iova, step.pages * page) };
    case "pin": {
      const { outcome, frames } = device.pin(iova, step.pages);
      return { outcome, frames: frames.map(String) };
    }
    case "unpin":
      return { outcome: device.unpin(iova, step.pages) };
    case "read": {
      const { outcome, bytes } = device.read(iova, step.length);
      return { outcome, bytes: [...bytes] };
    }
    case "write":
      return { outcome: device.write(iova, Uint8Array.from(step.bytes)) };
  }
}

function mapOwn(iova: bigint, length: number): string {
  const memory = DmaMemory.allocate(length);
  kept.push(memory);
  new Uint8Array(memory.buffer).fill(OWN_BYTE);
  const mapping = { iova, vaddr: memory.address, length };
  return ioas === undefined ? mapInContainer(space, mapping) : mapInIoas(new IommufdFile(space), ioas, mapping);
}
