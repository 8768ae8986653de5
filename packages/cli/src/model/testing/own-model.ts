import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Iommu, type IommuMode } from "@vfio-selftests/core";

/** The offset of a register at which {@link OWN_MODEL} answers. Each of its registers holds its own offset. */
export const REGISTER = 0x42;

const OWN_MODEL = `
  const region = { size: 4096, read: (offset) => offset, write() {} };
  export const createModel = () => ({
    name: "own", regions: new Map([[0, region]]), irqs: new Map(),
    attach() {}, reset() {}, step: () => false,
  });`;

/** Writes a model that none of our packages has, as `own.mjs`. */
export function writeOwnModel(directory: string): void {
  writeFileSync(join(directory, "own.mjs"), OWN_MODEL);
}

/** Opens the device at `address` and reads the byte at {@link REGISTER}. */
export function readRegister(mode: IommuMode, address: string): number {
  using iommu = new Iommu(mode.open());
  const into = new Uint8Array(1);
  iommu.openDevice(address).readRegion(0, REGISTER, into);
  return into[0] ?? -1;
}
