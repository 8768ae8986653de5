import { Eventfd, type PciDevice } from "@vfio-selftests/core";
import { pollUntil } from "@vfio-selftests/core/driver";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_DEVICE_IOEVENTFD_32, VFIO_DEVICE_RESET } from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { openForBlock } from "../rigs/device/open-device";
import { Racer } from "../rigs/race/racer";
import { waitsInIoctl } from "../rigs/race/waits-in-kernel";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

const VALUES = [0x600d_f00d, 0x5eed_5eed] as const;
const MARK = 0xffff_0000;
/** A function level reset sleeps for a tenth of a second. On a busy machine this process may miss it. */
const MOST_RESETS = 20;
const WRITE_MS = 5000;
const TIMEOUT_MS = 60_000;

/**
 * VFIO_DEVICE_IOEVENTFD while a reset holds the device's memory lock: the kernel's own thread makes the write when the lock is free
 * (vfio_pci_ioeventfd_handler, vfio_pci_ioeventfd_thread).
 */
export function ioeventfdUnderResetSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_ioeventfd_under_reset", target, (address) => {
    const device = openForBlock(mode, address);

    it("signal_is_kept_until_the_reset_is_over", () => withRig(device(), signalIsKept), TIMEOUT_MS);
    it("removal_waits_for_the_write", () => withRig(device(), removalWaits), TIMEOUT_MS);
  });
}

function signalIsKept({ eventfds, registers, duringReset }: Rig): void {
  duringReset(() => {
    for (const eventfd of eventfds) {
      eventfd.signal();
      // The kernel takes the count at once, and writes later.
      expect(eventfd.tryRead()).toBeUndefined();
    }
  });
  const isWritten = (): boolean => registers().every((value, number) => value === VALUES[number]);
  pollUntil(isWritten, { timeoutMs: WRITE_MS, what: "the writes after the reset", subject: "ioeventfds" });
  expect(registers()).toEqual(VALUES);
}

function removalWaits({ eventfds, registers, set, duringReset }: Rig): void {
  duringReset(() => {
    for (const eventfd of eventfds) eventfd.signal();
    // virqfd_shutdown waits for the thread, and so for the reset.
    expect(VALUES.map((_, number) => set(number, -1))).toEqual([0, 0]);
    expect(registers()).toEqual(VALUES);
  });
  eventfds.forEach((eventfd, number) => expect(set(number, eventfd.fd)).toBe(0));
}

interface Rig {
  /** One for each value. */
  readonly eventfds: readonly Eventfd[];
  /** What the values' registers hold. */
  readonly registers: () => number[];
  /** VFIO_DEVICE_IOEVENTFD of a value; -1 takes it away. */
  readonly set: (number: number, fd: number) => unknown;
  /** Runs while another thread's reset sleeps with the lock. The reset clears the registers. */
  readonly duringReset: (use: () => void) => void;
}

async function withRig(device: PciDevice, use: (rig: Rig) => void): Promise<void> {
  const { bar, offset } = scratchRegistersOf(device);
  if (!device.info.resettable) skip({ reason: "the device has no reset", remedy: "use a device with FLR: igb" });
  if (readAttribute(systemPaths.proc("self", "syscall")) === undefined) {
    skip({
      reason: "the kernel does not show in what call a thread sleeps",
      remedy: "use a kernel with CONFIG_HAVE_ARCH_TRACEHOOK, and mount /proc",
    });
  }
  const raw = new RawDevice(device);
  const window = device.bar(bar);
  const set = (number: number, fd: number): unknown =>
    raw.ioeventfd({
      flags: VFIO_DEVICE_IOEVENTFD_32,
      offset: raw.positionOf(bar, offset + 4 * number),
      data: BigInt(VALUES[number] ?? 0),
      fd,
    });
  const registers = (): number[] => VALUES.map((_, number) => window.read32(offset + 4 * number));
  await using racer = Racer.start([
    { file: deviceFileOf(device.vfio), request: VFIO_DEVICE_RESET, argument: new Uint8Array(0) },
  ]);
  const meetsReset = (): boolean => {
    while (racer.running) if (waitsInIoctl(VFIO_DEVICE_RESET)) return true;
    return false;
  };
  const meetsOne = (act: () => void): boolean => {
    let met = false;
    VALUES.forEach((_, number) => window.write32(offset + 4 * number, MARK));
    racer.race(1, () => {
      met = meetsReset();
      if (met) act();
    });
    return met;
  };
  const duringReset = (act: () => void): void => {
    expect(Array.from({ length: MOST_RESETS }).some(() => meetsOne(act))).toBe(true);
  };
  const eventfds = VALUES.map((_, number) => new Eventfd(`ioeventfd ${number}`));
  try {
    expect(eventfds.map(({ fd }, number) => set(number, fd))).toEqual([0, 0]);
    use({ eventfds, registers, set, duringReset });
  } finally {
    for (const [number, eventfd] of eventfds.entries()) {
      set(number, -1);
      eventfd.close();
      window.write32(offset + 4 * number, 0);
    }
  }
}
