import { DmaMemory } from "@vfio-selftests/core";
import {
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  vfio_device_feature_dma_logging_control,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT as LOGGING_REPORT,
  vfio_device_feature_dma_logging_report,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START as LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP as LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { modesOf } from "../rigs/iommu/modes-of";
import { MigrationRig } from "../rigs/mediated/migration-rig";
import { askPlainly, bytesOf, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";
import { DeviceLog } from "./device-log";
import { loggingRules } from "./logging-rules";

const PAGE = 4096n;

/** What a device tells of the pages that it wrote. On the kernel's sample device, which makes no DMA. */
export function dmaLoggingSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("vfio_dma_logging", () => {
    requireMode(mode);

    loggingRules({ make: cardLog, noRange: "EINVAL" });

    it("refuses_ranges_that_cannot_be_read", () => {
      using rig = new MigrationRig();
      const values = { page_size: PAGE, num_ranges: 1, ranges: NO_ADDRESS };
      const asked = bytesOf(vfio_device_feature_dma_logging_control, values);
      expect(rig.card.feature(LOGGING_START | SET, asked).code).toBe("EFAULT");
    });

    it("refuses_an_answer_that_cannot_be_written", () => {
      using rig = new MigrationRig();
      using memory = DmaMemory.allocate(Number(PAGE));
      new BigUint64Array(memory.buffer).set([0n, PAGE]);
      const layout = vfio_device_feature_dma_logging_control;
      const payload = bytesOf(layout, { page_size: PAGE, num_ranges: 1, ranges: memory.address });
      expect(rig.card.feature(LOGGING_START | SET, payload).code).toBe("ok");
      expect(rig.card.feature(LOGGING_STOP | SET, new Uint8Array(0)).code).toBe("ok");
      const argsz = vfio_device_feature.size + layout.size;
      const header = bytesOf(vfio_device_feature, { argsz, flags: LOGGING_START | SET });
      using readOnly = new ReadOnlyArgument(Buffer.concat([header, payload]));
      expect(askPlainly(rig.card.file, { VFIO_DEVICE_FEATURE }, readOnly.address)).toBe("EFAULT");
    });

    it("refuses_malformed_requests", () => {
      using rig = new MigrationRig();
      const ask = (flags: number, size: number) => rig.card.feature(flags, new Uint8Array(size)).code;
      const { size: control } = vfio_device_feature_dma_logging_control;
      const { size: asked } = vfio_device_feature_dma_logging_report;
      expect([ask(LOGGING_START | GET, control), ask(LOGGING_START | SET, control - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_STOP | GET, 0), ask(LOGGING_STOP | SET | PROBE, 0)]).toEqual(["EINVAL", "ok"]);
      expect([ask(LOGGING_REPORT | SET, asked), ask(LOGGING_REPORT | GET, asked - 1)]).toEqual(["EINVAL", "EINVAL"]);
      expect([ask(LOGGING_START | SET | PROBE, control), ask(LOGGING_REPORT | GET | PROBE, asked)]).toEqual([
        "ok",
        "ok",
      ]);
    });
  });
}

/** The log of a new card. Its disposal ends the card. */
export function cardLog(): DeviceLog {
  const rig = new MigrationRig();
  return new DeviceLog(rig, ({ flags, payload, links }) => {
    const byOffset = Object.fromEntries(links.map(({ offset, bytes }) => [offset, bytes]));
    return rig.card.feature(flags, payload, byOffset).code;
  });
}
