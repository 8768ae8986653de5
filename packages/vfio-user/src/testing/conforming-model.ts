import type { DeviceModel, ModelMigration, ModelRegion } from "../server/device-model";
import { PciIrq, PciRegion } from "../server/device-model";
import { createModel as createMappedModel } from "./mapped-model";

const INTERRUPT_LINE = 0x3c;

/**
 * A device with everything that conformance checks look for: a region to map, one only to read, one only to write,
 * migration.
 */
export function createModel(): DeviceModel {
  const model = createMappedModel();
  const regions = model.regions as Map<number, ModelRegion>;
  const config = regions.get(PciRegion.config);
  if (config === undefined) throw new Error("the mapped model has no configuration space");
  let line = 0;
  regions.set(PciRegion.config, {
    ...config,
    read: (offset, width) => {
      const value = config.read(offset, width);
      const shift = 8 * (INTERRUPT_LINE - offset);
      return shift >= 0 && shift < 8 * width ? value | (line << shift) : value;
    },
    write: (offset, width, value) => {
      const shift = 8 * (INTERRUPT_LINE - offset);
      if (shift >= 0 && shift < 8 * width) line = (value >>> shift) & 0xff;
    },
  });
  const nothing = { read: () => 0, write: () => undefined };
  regions.set(PciRegion.bar4, { ...nothing, size: 4096, access: "read" });
  regions.set(PciRegion.vga, { ...nothing, size: 4096, access: "write" });
  const migration: ModelMigration = {
    version: 1,
    save: () => Uint8Array.of(line),
    load: ([saved = 0]) => void (line = saved),
  };
  return Object.assign(model, { migration, irqs: new Map([...model.irqs, [PciIrq.msi, { count: 2 }]]) });
}
