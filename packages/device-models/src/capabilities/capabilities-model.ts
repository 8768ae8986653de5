import { type DeviceModel, type ModelIrq, type ModelRegion, PciIrq, PciRegion } from "@vfio-selftests/vfio-user";
import { INITIATE_FUNCTION_LEVEL_RESET } from "../config-space/index";
import { RegisterFile, registerMap } from "../registers/index";
import { BAR0_BYTES, BAR2_BYTES, CAPABILITIES_CONFIG, type Config, type ConfigMap, PCIX_CONFIGS } from "./config-space";
import { AF_INITIATE_RESET, MSI_VECTORS } from "./standard-capabilities";
import { VitalProductData } from "./vital-product-data";

/** BAR 0: registers that keep what software writes, and do nothing. */
export const CAPABILITIES_BAR0 = registerMap("capabilities BAR 0", BAR0_BYTES, {
  SCRATCH: { offset: 0, bytes: 4, readWrite: 0xffff_ffff, repeat: { count: 16 } },
});

/** BAR 2, which is there for its size. */
export const CAPABILITIES_BAR2 = registerMap("capabilities BAR 2", BAR2_BYTES, {
  SCRATCH_2: { offset: 0, bytes: 4, readWrite: 0xffff_ffff },
});

/** F of VPD_ADDRESS: software sets it to write, and the device changes it when it is done. */
const VPD_FLAG = 0x8000;
const UPPER_BYTE = 0b10;
/** The type 0 header: what vfio-pci saves before a reset and restores. */
const HEADER_BYTES = 0x40;

/**
 * A function without an engine, which has the capabilities that QEMU's devices lack: 1234:cab5. Their registers take nearly
 * every write, so that vfio-pci alone decides what a user may write. docs/capabilities.md lists them.
 */
export class CapabilitiesModel implements DeviceModel {
  readonly name = "capabilities";
  readonly regions: ReadonlyMap<number, ModelRegion>;
  readonly irqs: ReadonlyMap<number, ModelIrq> = new Map([[PciIrq.msi, { count: MSI_VECTORS, noResize: true }]]);
  readonly #config: Config;
  readonly #bar0 = new RegisterFile(CAPABILITIES_BAR0);
  readonly #bar2 = new RegisterFile(CAPABILITIES_BAR2);
  /** Survives every reset. */
  readonly #data = new VitalProductData();

  /** `pciX`: the version of its PCI-X capability. Versions 1 and 2 take the room of HyperTransport and SATA. */
  constructor({ pciX = 0 }: { readonly pciX?: 0 | 1 | 2 } = {}) {
    const map: ConfigMap = pciX === 0 ? CAPABILITIES_CONFIG : PCIX_CONFIGS[pciX];
    this.#config = new RegisterFile(map, {
      PCIE_DEVICE_CONTROL: {
        afterWrite: (written) => {
          if ((written & INITIATE_FUNCTION_LEVEL_RESET) !== 0) this.#functionLevelReset();
        },
      },
      AF_CONTROL: {
        afterWrite: (written) => {
          if ((written & AF_INITIATE_RESET) !== 0) this.#functionLevelReset();
        },
      },
      VPD_ADDRESS: {
        afterWrite: (_, lanes) => {
          if ((lanes & UPPER_BYTE) !== 0) this.#moveData();
        },
      },
    });
    this.regions = new Map<number, ModelRegion>([
      [PciRegion.config, this.#config],
      [PciRegion.bar0, this.#bar0],
      [PciRegion.bar2, this.#bar2],
    ]);
  }

  attach(): void {
    // No DMA, and no cause for an interrupt.
  }

  /** VFIO's reset: the header stays, because vfio-pci saves it before and restores it afterwards. */
  reset(): void {
    const header = Array.from({ length: HEADER_BYTES / 4 }, (_, i) => this.#config.read(i * 4, 4));
    this.#functionLevelReset();
    header.forEach((value, i) => {
      this.#config.write(i * 4, 4, value);
    });
  }

  step(): boolean {
    return false;
  }

  #functionLevelReset(): void {
    this.#config.reset({ keepSticky: true });
    this.#bar0.reset();
    this.#bar2.reset();
  }

  /** Software has written the flag: moves four bytes at once, and turns the flag. */
  #moveData(): void {
    const { VPD_ADDRESS, VPD_DATA } = this.#config.registers;
    const address = VPD_ADDRESS.value & ~VPD_FLAG;
    if ((VPD_ADDRESS.value & VPD_FLAG) !== 0) this.#data.write(address, VPD_DATA.value);
    else VPD_DATA.value = this.#data.read(address);
    VPD_ADDRESS.value ^= VPD_FLAG;
  }
}
