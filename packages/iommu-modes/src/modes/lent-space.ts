import type { Iommu, IommuBackend, OpenDeviceOptions, VfioDevice } from "@vfio-selftests/core";
import { closeAll, OwnedHandles } from "@vfio-selftests/core/backend";
import { GroupDevices } from "../container/group-devices";
import { openByFile } from "../iommufd/iommufd-device";
import { type KernelEnvironment, realKernel } from "../kernel/kernel-calls";
import { KernelFile } from "../kernel/kernel-file";
import type { LentSpace } from "../kernel/raw-space";
import { rawSpaceOf } from "./doors";

/** A loan of an address space to other threads of this process. */
export interface SpaceLoan extends Disposable {
  /** For {@link openLentSpace} in the other threads. */
  readonly space: LentSpace;
}

/**
 * Lends an address space to other threads, which can only be given numbers: a further descriptor of its file, which the
 * loan owns. End the loan when the other threads have opened it ({@link openLentSpace}), or will not.
 */
export function lendSpace(iommu: Pick<Iommu, "backend"> | IommuBackend): SpaceLoan {
  const raw = rawSpaceOf(iommu);
  const duplicate = raw.file.duplicate();
  return { space: raw.lend(duplicate.descriptor("lendSpace")), [Symbol.dispose]: () => duplicate.close() };
}

/** A borrowed address space. It opens devices into it, and does no more. They close with it, if not before. */
export interface BorrowedSpace extends Disposable {
  /** Opens the device at a PCI address into the space. */
  openDevice(address: string, options?: OpenDeviceOptions): VfioDevice;
}

/** Takes up a loan in another thread, with a descriptor of its own. */
export function openLentSpace(space: LentSpace, kernel: KernelEnvironment = realKernel): BorrowedSpace {
  const name = "the lent address space";
  const file = KernelFile.copyOf(kernel, space.descriptor, name);
  const devices = new OwnedHandles<VfioDevice>();
  const close = { [Symbol.dispose]: () => closeAll(name, [...devices.closing(), () => file.close()]) };
  if (space.api === "container") {
    const groups = new GroupDevices(file, space.type, true);
    return { openDevice: (address, options) => devices.add(groups.open(address, options)), ...close };
  }
  const ioas = { idIn: () => space.ioas, name: `IOAS ${space.ioas}` };
  return { openDevice: (address, options) => devices.add(openByFile(kernel, file, ioas, address, options)), ...close };
}
