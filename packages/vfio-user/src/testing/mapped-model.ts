import { native } from "@vfio-selftests/native";
import type { DeviceModel, ModelRegion } from "../server/device-model";
import { PciRegion } from "../server/device-model";
import { ScratchModel } from "./scratch-model";

const SIZE = 65536;

/** The scratch device with a further BAR, in a memory file, that clients may map. For {@link ModelWorker}. */
export function createModel(): DeviceModel {
  const fd = native.memfdCreate("mapped-bar", 0);
  native.ftruncate(fd, SIZE);
  const bar2: ModelRegion = {
    size: SIZE,
    read: (offset, width) => {
      const bytes = Buffer.alloc(4);
      native.pread(fd, bytes.subarray(0, width), offset);
      return bytes.readUInt32LE();
    },
    write: (offset, width, value) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      native.pwrite(fd, bytes.subarray(0, width), offset);
    },
    memory: { fd, areas: [{ offset: 0, size: SIZE }] },
  };
  const model = new ScratchModel();
  (model.regions as Map<number, ModelRegion>).set(PciRegion.bar2, bar2);
  return model;
}
