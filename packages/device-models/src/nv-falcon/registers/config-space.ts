import { configSpace, PcieType, pciExpress, powerManagement } from "../../config-space/index";
import type { RegisterFile } from "../../registers/index";
import type { Generation } from "../generations";
import { BAR0_BYTES } from "./bar0";

const NVIDIA = 0x10de;
/** A display controller, but no VGA: what Tesla boards are. */
const CLASS_3D_CONTROLLER = 0x03_02_00;

/** Config space. The capabilities have the places that they have on a Tesla board; there are no interrupts. */
export const configOf = ({ device, boot0 }: Pick<Generation, "device" | "boot0">) =>
  configSpace("NV falcon config", {
    header: {
      vendor: NVIDIA,
      device,
      revision: boot0 & 0xff,
      classCode: CLASS_3D_CONTROLLER,
      bars: [{ index: 0, bytes: BAR0_BYTES, width: 32 }],
    },
    capabilities: [powerManagement(0x60), pciExpress(0x78, { type: PcieType.endpoint })],
    extended: [],
    registers: {},
  });

export type Config = RegisterFile<ReturnType<typeof configOf>["declarations"]>;

/**
 * Bit of the status register: a request of this device came back as unsupported (PCI Express 4.0, section 7.5.1.1.4). That
 * is how an IOMMU answers a read that it refuses.
 */
export const RECEIVED_MASTER_ABORT = 0x2000;
