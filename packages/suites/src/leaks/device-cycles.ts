import { Eventfd } from "@vfio-selftests/core";
import {
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_NUM_IRQS,
  VFIO_PCI_NUM_REGIONS,
} from "@vfio-selftests/core/uapi";
import { nothingToClose, onDevice } from "../faults/operation";
import { DmaBufRig } from "../rigs/dma/dma-buf/dma-buf-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { NO_FILE } from "../rigs/raw/ask-kernel";
import { RawDevice } from "../rigs/raw/raw-device";
import { type Cycle, refused } from "./cycle";

/** Bytes for an answer with its capabilities. */
const ROOM = 1024;
const TRIGGERS = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

/** What a device's file allocates for a request: answers with capabilities, eventfds, dma-bufs. */
export const DEVICE_CYCLES: readonly Cycle[] = [
  {
    name: "device_answers",
    times: 300,
    prepare: onDevice((_iommu, device) => {
      const raw = new RawDevice(device);
      const ask = (name: string, request: number, index = 0): void => {
        const argument = new Uint32Array(ROOM / 4);
        argument[0] = ROOM;
        argument[2] = index;
        raw.ioctl(name, request, new Uint8Array(argument.buffer));
      };
      return {
        once() {
          ask("VFIO_DEVICE_GET_INFO", VFIO_DEVICE_GET_INFO);
          for (let index = 0; index < VFIO_PCI_NUM_REGIONS; index++) {
            ask("VFIO_DEVICE_GET_REGION_INFO", VFIO_DEVICE_GET_REGION_INFO, index);
          }
          for (let index = 0; index < VFIO_PCI_NUM_IRQS; index++) {
            ask("VFIO_DEVICE_GET_IRQ_INFO", VFIO_DEVICE_GET_IRQ_INFO, index);
          }
        },
        [Symbol.dispose]: nothingToClose,
      };
    }),
  },
  {
    name: "hot_reset_info",
    times: 1000,
    prepare: onDevice((_iommu, device) => {
      const raw = new RawDevice(device);
      const argument = new Uint8Array(ROOM);
      return {
        once() {
          // The kernel's list of one device has 12 bytes: several in a cycle, so that they are seen when they stay.
          for (let request = 0; request < 4; request++) {
            argument.fill(0);
            new DataView(argument.buffer).setUint32(0, ROOM, true);
            raw.ioctl("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, argument);
          }
        },
        [Symbol.dispose]: nothingToClose,
      };
    }),
  },
  {
    name: "eventfds_that_are_none_are_refused",
    times: 150,
    prepare: onDevice((_iommu, device) => {
      const raw = new RawDevice(device);
      const { interrupts } = device;
      const good = new Eventfd("vector");
      const kinds = [interrupts.msix, interrupts.msi, interrupts.intx, interrupts.err, interrupts.req];
      const entries = kinds
        .filter(({ count }) => count > 0)
        .map(({ name, index, count }) => {
          // The first vector has its eventfd when the kernel meets the second's.
          const data = Int32Array.of(...(count > 1 ? [good.fd, NO_FILE] : [NO_FILE]));
          return [name, [() => raw.setIrqs({ flags: TRIGGERS, index, count: data.length, data }), "EBADF"]] as const;
        });
      return { once: refused(Object.fromEntries(entries)), [Symbol.dispose]: () => good.close() };
    }),
  },
  {
    name: "dma_bufs",
    times: 200,
    prepare: onDevice((iommu, device) => {
      const rig = new DmaBufRig(iommu, device);
      const { index: region } = rig.bar;
      const ranges = [{ offset: 0, length: PAGE_SIZE }];
      const twice = [...ranges, ...ranges];
      return {
        once() {
          rig.export({ region, ranges });
          rig.export({ region, ranges: twice });
          rig.tryExport({ region, ranges: [...ranges, { offset: 1n << 60n, length: PAGE_SIZE }] });
          rig.closeBuffers();
        },
        [Symbol.dispose]: () => rig[Symbol.dispose](),
      };
    }),
  },
];
