import type { Iommu, IommuMode } from "@vfio-selftests/core";
import { type IoAddressSpace, iommufdDeviceOf, iommufdOf } from "@vfio-selftests/iommu-modes";
import type { SuiteTarget } from "../../suite-target";
import { CopyRig, type DeviceCopier } from "./copy-rig";
import { Reach } from "./reach";

/** A device at work, and its binding (`tie`) to the iommufd. */
export class AttachedRig implements Disposable {
  readonly reach: Reach;
  readonly #rig: CopyRig;

  constructor(target: SuiteTarget, mode: IommuMode, address: string) {
    this.#rig = new CopyRig(target, mode, [address]);
    this.reach = new Reach(this.#rig.copier);
  }

  get copier(): DeviceCopier {
    return this.#rig.copier;
  }

  get iommu(): Iommu {
    return this.#rig.iommu;
  }

  get door(): ReturnType<typeof iommufdOf> {
    return iommufdOf(this.iommu);
  }

  get tie(): ReturnType<typeof iommufdDeviceOf> {
    return iommufdDeviceOf(this.#rig.copier.device.vfio);
  }

  /** Sets the device up anew, after a time without its rings. */
  startAgain(): void {
    const { session } = this.#rig.copier;
    session.remove();
    session.create();
  }

  /** A second address space, with every mapping of the first except the one at this IOVA. */
  copyOfSpace(except: bigint): IoAddressSpace {
    const elsewhere = this.door.newIoas();
    for (const { iova, length } of this.iommu.regions) {
      if (iova !== except) elsewhere.copyMapping(this.door.ioas, { sourceIova: iova, length, iova });
    }
    return elsewhere;
  }

  [Symbol.dispose](): void {
    this.#rig[Symbol.dispose]();
  }
}
