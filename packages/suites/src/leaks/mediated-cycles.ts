import { DmaMemory } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import {
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";
import { inContainer, inIommufd } from "../faults/operation";
import { cardLog } from "../migration/card-logging";
import { MediatedDevice } from "../rigs/mediated/mediated-device";
import { MigrationRig } from "../rigs/mediated/migration-rig";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { map } from "../rigs/raw/container-requests";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { Cycle } from "./cycle";

const IOVA = 0x10_0000n;

/**
 * What VFIO itself allocates for a device in use. The kernel's serial card has nothing to reset, so that it opens a hundred times
 * in the time of one PCI device.
 */
export const MEDIATED_CYCLES: readonly Cycle[] = [
  {
    name: "card_in_an_iommufd",
    only: inIommufd,
    prepare() {
      const card = new MediatedDevice();
      return {
        once() {
          using iommufd = new IommufdFile();
          using device = new DeviceFile(card.openCdev());
          const codes = [device.bind(iommufd).code, device.attach(iommufd.newIoas()).code];
          if (codes.some((code) => code !== "ok")) throw new Error(`bind and attach: ${codes.join(", ")}`);
        },
        [Symbol.dispose]: () => card.remove(),
      };
    },
  },
  {
    name: "card_in_a_container_with_a_mapping",
    only: inContainer,
    prepare(mode) {
      const card = new MediatedDevice();
      const memory = DmaMemory.allocate(PAGE_SIZE);
      return {
        once() {
          using files = card.group(mode);
          const codes = [files.setContainer(), files.setIommu()];
          if (codes.some((code) => code !== "ok")) throw new Error(`the container takes no card: ${codes.join(", ")}`);
          using _device = files.openDevice();
          if (map(files, memory, IOVA).code !== "ok") throw new Error("the container maps no page");
        },
        [Symbol.dispose]: () => closeAll("the card and its memory", [() => card.remove(), () => memory.close()]),
      };
    },
  },
  {
    name: "card_that_logs_what_it_writes",
    only: inIommufd,
    prepare() {
      const log = cardLog();
      const [page, bitmap] = [BigInt(PAGE_SIZE), new Uint8Array(8)];
      return {
        once() {
          const codes = [log.start([IOVA, page]), log.report(IOVA, page, page, bitmap), log.stop()];
          if (codes.some((code) => code !== "ok")) throw new Error(`start, report, stop: ${codes.join(", ")}`);
        },
        [Symbol.dispose]: () => log[Symbol.dispose](),
      };
    },
  },
  {
    name: "card_that_saves_its_state",
    only: inIommufd,
    times: 300,
    prepare() {
      const rig = new MigrationRig();
      return {
        once() {
          rig.go(STOP_COPY);
          rig.closeData();
          rig.go(RUNNING);
        },
        [Symbol.dispose]: () => rig[Symbol.dispose](),
      };
    },
  },
];
