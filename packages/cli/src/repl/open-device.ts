import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { argumentError } from "@vfio-selftests/core/errors";
import { autoMode, iommuModes } from "@vfio-selftests/iommu-modes";
import { VfioUserMode } from "@vfio-selftests/vfio-user";
import { connectNamedModel } from "../model/start-named-model";
import { deviceNamed } from "../target/named-devices";

/** A device that is open, and may be opened again when it went away. What was mapped for DMA stays mapped. */
export class OpenDevice implements Disposable {
  readonly address: string;
  readonly iommu: Iommu;
  #device: PciDevice;

  constructor(name: string, modeName: string | undefined) {
    const { address, mode } = placeOf(name, modeName);
    this.address = address;
    this.iommu = new Iommu(mode.open());
    try {
      this.#device = PciDevice.open(this.iommu, address);
    } catch (error) {
      this.iommu.close();
      throw error;
    }
  }

  get device(): PciDevice {
    return this.#device;
  }

  /** Closes the device and opens it anew. */
  reopen(): PciDevice {
    this.#device.close();
    this.#device = PciDevice.open(this.iommu, this.address);
    return this.#device;
  }

  [Symbol.dispose](): void {
    this.iommu.close();
  }
}

function placeOf(name: string, modeName: string | undefined): { address: string; mode: IommuMode } {
  if (/^(vfio-user|model):/.test(name)) {
    if (modeName !== undefined)
      throw argumentError("repl", "mode", modeName, "no mode: the device is not the kernel's");
    return { address: name, mode: new VfioUserMode({ connectModel: (model) => connectNamedModel(model) }) };
  }
  const modes = [autoMode, ...iommuModes];
  const mode = modeName === undefined ? autoMode : modes.find((one) => one.name === modeName);
  if (mode === undefined) throw argumentError("repl", "mode", modeName, modes.map((one) => one.name).join(", "));
  return { address: deviceNamed(name), mode };
}
