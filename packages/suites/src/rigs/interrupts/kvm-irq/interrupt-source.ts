import { Eventfd, type IommuMode } from "@vfio-selftests/core";
import { skip } from "@vfio-selftests/harness";
import type { SuiteTarget } from "../../../suite-target";
import { DriverRig } from "../../dma/driver-rig";
import { PAGE_SIZE } from "../../memory/page-size";
import { findHostIrq } from "./host-irq";

/** What raises the interrupts that KVM passes to the guest. */
export interface InterruptSource extends Disposable {
  /** Signalled once for each interrupt; KVM listens on it. */
  readonly eventfd: Eventfd;
  /** Number of the interrupt on the host; undefined when none is involved. */
  readonly hostIrq: number | undefined;
  /** Makes the device raise the interrupt, once. */
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
  // A driver copies here only what it needs to raise an interrupt.
  const rig = DriverRig.open(target, mode, address, { largestCopy: PAGE_SIZE });
  try {
    const { session, device } = rig;
    const kind = device.interrupts.exclusiveInUse()?.kind;
    if (!session.canSendMsi || kind === undefined) {
      skip({
        reason: `driver ${session.driver.name} cannot make the device raise an interrupt`,
        remedy: "use a device whose driver has sendMsi: igb, ioat or dsa",
      });
    }
    const eventfd = session.msi;
    return {
      eventfd,
      hostIrq: findHostIrq(device.address, kind, eventfd.vector),
      raise: () => {
        session.sendMsi();
      },
      [Symbol.dispose]: () => {
        rig[Symbol.dispose]();
      },
    };
  } catch (error) {
    rig[Symbol.dispose]();
    throw error;
  }
}
