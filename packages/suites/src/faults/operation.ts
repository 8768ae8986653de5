import { Iommu, type IommuMode, PciDevice } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import type { FailingCalls } from "./failing-calls";

/** An operation with what it needs opened, before the kernel fails in it. */
export interface Prepared extends Disposable {
  /** The operation. It gives what undoes it, or nothing. */
  act(): Disposable | undefined;
  /**
   * Shows that the operation had its effect; for after `act`. `whole` is false after an operation that said nothing of the
   * fault: what the kernel may do without need not be there.
   */
  verify?(whole: boolean): void;
  /** Takes back what the kernel may have done although it failed to write its answer (EFAULT). Default: it does nothing then. */
  takeBack?(): void;
}

/** Opens what the operation needs. `calls` is for operations that no mode or device makes. */
export type Prepare = (mode: IommuMode, address: string, calls: FailingCalls) => Prepared;

export interface Operation {
  readonly name: string;
  /** The modes it exists in; default all. */
  readonly only?: (mode: IommuMode) => boolean;
  /** Other errors than those of every operation with which the kernel may refuse this one. */
  readonly refusals?: (mode: IommuMode) => readonly string[];
  /** Whether the kernel may need nothing for it that can fail. Other operations have at least one place. */
  readonly mayHaveNoPlace?: (mode: IommuMode) => boolean;
  /** What a known defect makes the kernel print when a place in this operation fails, and the page about it. */
  readonly defect?: { readonly pattern: RegExp; readonly finding: string };
  readonly prepare: Prepare;
}

/** The errno of a place of iommufd's own in attaching an address space's page table (io_pagetable.c, iopt_table_add_domain). */
export const ATTACHING_REFUSED = "EINVAL";

export const inContainer = ({ traits }: IommuMode): boolean => traits.api === "container";

export const inIommufd = ({ traits }: IommuMode): boolean => traits.api === "iommufd";

export const nothingToClose = (): void => undefined;

/** An operation that leaves nothing to undo. */
export function leaving(act: () => unknown): Prepared["act"] {
  return () => {
    act();
    return undefined;
  };
}

/** Makes something, after whose end the steps are taken. They are taken at once when it is not made, or the test skips. */
export function closedAfter<Made extends Disposable>(steps: readonly (() => void)[], make: () => Made): Made {
  let made: Made;
  try {
    made = make();
  } catch (error) {
    closeAll("the operation", steps);
    throw error;
  }
  return { ...made, [Symbol.dispose]: () => closeAll("the operation", [() => made[Symbol.dispose](), ...steps]) };
}

/** What needs a device in an address space, which are closed after it. */
export function onDevice<Made extends Disposable>(
  prepare: (iommu: Iommu, device: PciDevice) => Made,
): (mode: IommuMode, address: string) => Made {
  return (mode, address) => {
    const iommu = new Iommu(mode.open());
    return closedAfter([() => iommu.close()], () => {
      const device = PciDevice.open(iommu, address);
      return closedAfter([() => device.close()], () => prepare(iommu, device));
    });
  };
}
