import { DmaMemory, Eventfd } from "@vfio-selftests/core";
import { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_PCI_HOT_RESET } from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { inContainer, nothingToClose, onDevice } from "../faults/operation";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { TruncatedFile } from "../rigs/memory/truncated-file";
import { NO_FILE, outcome } from "../rigs/raw/ask-kernel";
import { info, map, ready, ROOM, unmapAll } from "../rigs/raw/container-requests";
import { GroupFiles } from "../rigs/raw/group-files";
import { RawDevice } from "../rigs/raw/raw-device";
import { type Cycle, refused } from "./cycle";

const IOVA = 0x10_0000n;
const PAGES = 4;
/** Bytes for an answer about many devices. */
const INFO_BYTES = 1024;

/** What containers and groups allocate: an IOMMU for a group, mappings and the pages below them, answers. */
export const CONTAINER_CYCLES: readonly Cycle[] = [
  {
    name: "container_with_a_group",
    times: 400,
    only: inContainer,
    prepare: (mode, address) => ({
      once() {
        using files = new GroupFiles(mode, address);
        if (files.setContainer() !== "ok" || files.setIommu() !== "ok") throw new Error("the container takes no group");
      },
      [Symbol.dispose]: nothingToClose,
    }),
  },
  {
    name: "group_that_no_container_takes",
    times: 150,
    only: inContainer,
    prepare: (mode, address) => ({
      once: () => {
        using files = new GroupFiles(mode, address);
        refused({
          "no file": [() => files.setContainer(NO_FILE), "EBADF"],
          "a device without a container": [() => outcome(files.deviceDescriptor()), "EINVAL"],
          "no group to let go": [() => files.unsetContainer(), "EINVAL"],
        })();
      },
      [Symbol.dispose]: nothingToClose,
    }),
  },
  {
    name: "container_refuses",
    times: 300,
    only: inContainer,
    prepare(mode, address) {
      const files = ready(mode, address);
      const memory = DmaMemory.allocate(PAGE_SIZE);
      // The kernel has taken the first three pages when it meets the end of the file.
      const file = new TruncatedFile(PAGES, PAGES - 1);
      expect(map(files, memory, IOVA).code).toBe("ok");
      return {
        once: refused({
          "an IOVA in use": [() => map(files, memory, IOVA).code, "EEXIST"],
          "memory whose end is missing": [
            () => map(files, memory, 2n * IOVA, file.address, PAGES * PAGE_SIZE).code,
            "EFAULT",
          ],
          "a device of another name": [() => outcome(files.deviceDescriptor("0000:ff:1f.7")), "ENODEV"],
          "a second container": [() => files.setContainer(), "EINVAL"],
        }),
        [Symbol.dispose]: () => {
          unmapAll(files);
          files[Symbol.dispose]();
          file[Symbol.dispose]();
          memory.close();
        },
      };
    },
  },
  {
    name: "container_answers",
    only: inContainer,
    prepare(mode, address) {
      const files = ready(mode, address);
      return {
        once() {
          if (info(files, ROOM).code !== "ok") throw new Error("VFIO_IOMMU_GET_INFO fails");
        },
        [Symbol.dispose]: () => files[Symbol.dispose](),
      };
    },
  },
  {
    name: "hot_resets_are_refused",
    only: inContainer,
    prepare: onDevice((_iommu, device) => {
      const raw = new RawDevice(device);
      const reset = (...fds: number[]): number | string => {
        const argument = Int32Array.of(12 + 4 * fds.length, 0, fds.length, ...fds);
        return raw.ioctl("VFIO_DEVICE_PCI_HOT_RESET", VFIO_DEVICE_PCI_HOT_RESET, new Uint8Array(argument.buffer));
      };
      const affected = new Uint32Array(INFO_BYTES / 4);
      affected[0] = INFO_BYTES;
      const asked = raw.ioctl("info", VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, new Uint8Array(affected.buffer));
      if (asked !== 0) {
        skip({ reason: `${device.address} has no bus that could be reset (${asked})`, remedy: "use QEMU's igb" });
      }
      const own = new Eventfd("no group");
      return {
        once: refused({
          "no file": [() => reset(NO_FILE), "EBADF"],
          "a file of another kind": [() => reset(own.fd), "EINVAL"],
        }),
        [Symbol.dispose]: () => own.close(),
      };
    }),
  },
  {
    name: "container_ends_with_mappings",
    times: 400,
    // In iommufd's container a PCI device must be open, which takes long: a card stands for it (mediated-cycles.ts).
    only: (mode) => inContainer(mode) && mode.traits.mapsRegisters,
    prepare(mode, address) {
      const memory = DmaMemory.allocate(16 * PAGE_SIZE);
      return {
        once() {
          using files = ready(mode, address);
          for (const iova of [IOVA, 3n * IOVA]) {
            if (map(files, memory, iova, memory.address, memory.length).code !== "ok") throw new Error("no mapping");
          }
        },
        [Symbol.dispose]: () => memory.close(),
      };
    },
  },
];
