import { DriverSession, Eventfd, Iommu, PciDevice, type IommuMode } from "@vfio-selftests/core";
import { findDriver } from "../driver-bench";
import { skip } from "../outcome/skip";
import type { SuiteTarget } from "../suite-target";
import { findHostIrq } from "./host-irq";

/** What raises the interrupts that KVM passes to the guest. */
export interface InterruptSource extends Disposable {
  /** Signalled once for each interrupt; KVM listens on it. */
  readonly eventfd: Eventfd;
  /** Number of the interrupt on the host; undefined when none is involved. */
  readonly hostIrq: number | undefined;
  raise(): void;
}

/** An eventfd that the test itself writes to. */
export function eventfdSource(): InterruptSource {
  const eventfd = new Eventfd("the interrupt source");
  return {
    eventfd,
    hostIrq: undefined,
    raise: () => {
      eventfd.signal();
    },
    [Symbol.dispose]: () => {
      eventfd.close();
    },
  };
}

/** A device's own MSI or MSI-X, raised through its driver. Skips the test when there is no such driver. */
export function deviceSource(target: SuiteTarget, mode: IommuMode, address: string): InterruptSource {
  const stack = new DisposableStack();
  try {
    const iommu = stack.use(new Iommu(mode.open()));
    const device = stack.use(PciDevice.open(iommu, address));
    const driver = findDriver(target, device);
    const session = stack.use(new DriverSession(driver, device, iommu));
    const index = device.interrupts.exclusiveInUse();
    if (!session.canSendMsi || index === undefined) {
      skip({
        reason: `driver ${driver.name} cannot make the device raise an interrupt`,
        remedy: "use a device whose driver has sendMsi: igb, ioat or dsa",
      });
    }
    const eventfd = session.msi;
    return {
      eventfd,
      hostIrq: findHostIrq(device.address, index.kind, eventfd.vector),
      raise: () => {
        session.sendMsi();
      },
      [Symbol.dispose]: () => {
        stack.dispose();
      },
    };
  } catch (error) {
    stack.dispose();
    throw error;
  }
}
