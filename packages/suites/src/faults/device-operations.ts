import { DmaMemory, Eventfd, Iommu, PciDevice, VfioError, type VfioErrorCode } from "@vfio-selftests/core";
import { VFIO_DEVICE_IOEVENTFD_32 } from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { scratchRegistersOf } from "../devices/scratch-registers";
import { allocateOrSkip } from "../rigs/memory/allocate-or-skip";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { RawDevice } from "../rigs/raw/raw-device";
import { leaving, onDevice, type Operation } from "./operation";
import { mapping } from "./operations";

const MIB = 1024 ** 2;
const VALUE = 0x600d_f00d;

/** Further operations of a device: memory of each kind, eventfds that the kernel takes, and the bus's reset. */
export const DEVICE_OPERATIONS: readonly Operation[] = [
  {
    name: "mapping_shared_memory",
    prepare: mapping(() => DmaMemory.allocate(16 * PAGE_SIZE, { backing: "shared" })),
  },
  { name: "mapping_a_2_mib_page", prepare: mapping(() => allocateOrSkip(2 * MIB, "hugetlb-2m")) },
  { name: "mapping_a_memfd_of_a_2_mib_page", prepare: mapping(() => allocateOrSkip(2 * MIB, "memfd-2m")) },
  {
    name: "mapping_registers",
    only: ({ traits }) => traits.mapsRegisters,
    prepare: onDevice((iommu, device) => {
      const mapped = device.bars.flatMap(({ mappings }) => mappings).find(({ length }) => length >= PAGE_SIZE);
      if (mapped === undefined) {
        skip({ reason: "the device has no BAR of a page or more that can be mapped", remedy: "use another device" });
      }
      let iova = 0n;
      return {
        act: () => {
          const region = iommu.map(mapped, { length: PAGE_SIZE });
          ({ iova } = region);
          return region;
        },
        verify: () => {
          expect(iommu.unmapRange(iova, BigInt(PAGE_SIZE))).toBe(BigInt(PAGE_SIZE));
          iommu.map(mapped, { iova, length: PAGE_SIZE });
        },
        [Symbol.dispose]: () => void iommu.unmapAll(),
      };
    }),
  },
  {
    name: "setting_an_unmask_eventfd",
    prepare: onDevice((_iommu, { interrupts: { intx }, vfio }) => {
      if (intx.count === 0) skip({ reason: "the device has no INTx", remedy: "use QEMU's igb" });
      intx.enable();
      const unmask = new Eventfd("unmask");
      const set = (fd: number): void =>
        vfio.setIrqs({ index: intx.index, action: "unmask", start: 0, count: 1, data: { eventfds: [fd] } });
      return {
        act: () => {
          set(unmask.fd);
          return { [Symbol.dispose]: () => set(-1) };
        },
        verify: () => {
          unmask.signal();
          // virqfd_wakeup took the count.
          expect(unmask.tryRead()).toBeUndefined();
        },
        [Symbol.dispose]: () => unmask.close(),
      };
    }),
  },
  {
    name: "setting_an_ioeventfd",
    prepare: onDevice((_iommu, device) => {
      const { bar, offset } = scratchRegistersOf(device);
      const raw = new RawDevice(device);
      const register = device.bar(bar);
      register.write32(offset, 0);
      const eventfd = new Eventfd("ioeventfd");
      const set = (fd: number): void => {
        const place = { flags: VFIO_DEVICE_IOEVENTFD_32, offset: raw.positionOf(bar, offset), data: BigInt(VALUE) };
        const code = raw.ioeventfd({ ...place, fd });
        if (code !== 0) throw refusal("VFIO_DEVICE_IOEVENTFD", code);
      };
      return {
        act: () => {
          set(eventfd.fd);
          return { [Symbol.dispose]: () => set(-1) };
        },
        verify: () => {
          eventfd.signal();
          expect(register.read32(offset)).toBe(VALUE);
          register.write32(offset, 0);
        },
        [Symbol.dispose]: () => eventfd.close(),
      };
    }),
  },
  {
    name: "hot_reset",
    prepare: (mode, address) => {
      const iommu = new Iommu(mode.open());
      const close = (): void => iommu.close();
      const device = PciDevice.open(iommu, address);
      const others = affectedOthers(device);
      if (others === undefined || others.length > 0) {
        close();
        const of = others === undefined ? "it is the root bus" : `it holds ${others.join(", ")}, too`;
        skip({
          reason: `the bus of ${address} cannot be reset for one device (${of})`,
          remedy: "use a device alone below a root port: vfio-selftests lab run --device igb",
        });
      }
      const { vendorId } = device.config;
      return {
        act: leaving(() => device.hotReset()),
        verify: () => {
          expect(device.config.vendorId).toBe(vendorId);
          // Its memory answers again: registers that nobody decodes read as ones.
          expect(device.bars.filter(({ mappable }) => mappable).every((bar) => bar.read32(0) === 0xffff_ffff)).toBe(
            false,
          );
        },
        [Symbol.dispose]: close,
      };
    },
  },
];

/** Other functions that a reset of the bus affects; undefined when there is no such reset. */
function affectedOthers(device: PciDevice): string[] | undefined {
  try {
    return device
      .hotResetInfo()
      .devices.map(({ address }) => address)
      .filter((address) => address !== device.address);
  } catch (error) {
    if (error instanceof VfioError && error.code === "ENODEV") return undefined;
    throw error;
  }
}

function refusal(operation: string, code: number | string): VfioError {
  return new VfioError(`${operation}: ${code}`, { code: code as VfioErrorCode, operation });
}
