/** The scratch device with a further BAR that does something odd. For {@link ModelWorker}. */
import { native } from "@vfio-selftests/native";
import type { DeviceModel, ModelRegion } from "../server/device-model";
import { PciRegion } from "../server/device-model";
import { ScratchModel } from "./scratch-model";

function withBar2(read: () => number): DeviceModel {
  const bar2: ModelRegion = { size: 4096, read, write: () => undefined };
  const model = new ScratchModel();
  (model.regions as Map<number, ModelRegion>).set(PciRegion.bar2, bar2);
  return model;
}

/** A read blocks in the kernel for ever. */
export function createBlockedModel(): DeviceModel {
  const never = native.eventfd(0, 0);
  return withBar2(() => native.read(never, new Uint8Array(8)));
}

/** A read tells how often a timer of the thread has fired. */
export function createTimedModel(): DeviceModel {
  let fired = 0;
  setInterval(() => (fired += 1), 1).unref();
  return withBar2(() => fired);
}
