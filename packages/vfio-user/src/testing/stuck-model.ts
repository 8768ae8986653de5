import { native } from "@vfio-selftests/native";
import { PciRegion } from "../server/device-model";
import type { DeviceModel, ModelRegion } from "../server/device-model";
import { ScratchModel } from "./scratch-model";

/** The scratch device with a further BAR, whose reads block in the kernel for ever. For {@link ModelWorker}. */
export function createModel(): DeviceModel {
  const never = native.eventfd(0, 0);
  const read = (): number => native.read(never, new Uint8Array(8));
  const bar2: ModelRegion = { size: 4096, read, write: () => undefined };
  const model = new ScratchModel();
  (model.regions as Map<number, ModelRegion>).set(PciRegion.bar2, bar2);
  return model;
}
