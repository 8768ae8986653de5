import { DmaMemory, type DmaRegion, Iommu, PciDevice } from "@vfio-selftests/core";
import { type Driver, DriverSession } from "@vfio-selftests/core/driver";
import { connectModel } from "@vfio-selftests/device-models";
import { VfioUserMode } from "@vfio-selftests/vfio-user";

/** Bytes in each half of a mapped region. The tests copy from one half into the other. */
export const HALF = 4 << 20;
/** An IOVA at which nothing is mapped. */
export const NOWHERE = 0x7f_0000_0000n;

/** A real driver on a real model, each in its own thread, with a socket between them and mapped memory. */
export interface ModelRig {
  readonly iommu: Iommu;
  readonly device: PciDevice;
  readonly session: DriverSession;
  readonly region: DmaRegion;
  readonly bytes: Uint8Array;
}

/** Makes rigs of one model, and closes after each test what it opened. */
export class ModelRigs {
  readonly #model: string;
  readonly #driver: Driver;
  #cleanup: (() => void)[] = [];

  constructor(model: string, driver: Driver) {
    this.#model = model;
    this.#driver = driver;
    afterEach(() => {
      for (const step of this.#cleanup.reverse()) step();
      this.#cleanup = [];
    });
  }

  setUp(): ModelRig {
    const iommu = new Iommu(new VfioUserMode({ connectModel }).open());
    this.#cleanup.push(() => iommu.close());
    const region = this.map(iommu, DmaMemory.allocate(2 * HALF, { backing: "memfd" }));
    return { iommu, ...this.open(iommu), region, bytes: region.bytes };
  }

  /** Opens one more device of the model in this address space. */
  open(iommu: Iommu): { device: PciDevice; session: DriverSession } {
    const device = PciDevice.open(iommu, `model:${this.#model}`);
    this.#cleanup.push(() => device.close());
    const session = new DriverSession(this.#driver, device, iommu);
    this.#cleanup.push(() => session.close());
    return { device, session };
  }

  map(iommu: Iommu, memory: DmaMemory): DmaRegion {
    const region = iommu.map(memory);
    this.#cleanup.push(
      () => memory.close(),
      () => region.unmap(),
    );
    return region;
  }
}

/** Takes and counts the interrupts for which nobody waited, of all vectors that the driver has enabled. */
export function pendingInterrupts({ device }: DriverSession): bigint {
  const vectors = device.interrupts.exclusiveInUse()?.enabledVectors ?? [];
  return vectors.reduce((sum, vector) => sum + (vector.tryRead() ?? 0n), 0n);
}
