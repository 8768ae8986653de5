import { readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  VFIO_DEVICE_FEATURE_BUS_MASTER,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
  VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_PROBE as PROBE,
  VFIO_DEVICE_FEATURE_SET as SET,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { openForBlock } from "../rigs/device/open-device";
import { requireDmaBufs } from "../rigs/dma/dma-buf/dma-buf-rig";
import { RawDevice } from "../rigs/raw/raw-device";
import type { SuiteTarget } from "../suite-target";

/** Features of vfio-pci, the one access that each has, and the bytes of its payload. */
const OFFERED = [
  { name: "low_power_entry", feature: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, access: SET, size: 0 },
  { name: "low_power_wakeup", feature: VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, access: SET, size: 8 },
  { name: "low_power_exit", feature: VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, access: SET, size: 0 },
  { name: "dma_buf", feature: VFIO_DEVICE_FEATURE_DMA_BUF, access: GET, size: 16 },
  { name: "vf_token", feature: VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, access: SET, size: 16 },
] as const;

/** Features that other drivers have: migration, dirty tracking by the device, CDX's bus master switch. */
const NOT_OFFERED = {
  migration: VFIO_DEVICE_FEATURE_MIGRATION,
  migration_state: VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
  migration_size: VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
  dma_logging_start: VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
  dma_logging_stop: VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
  dma_logging_report: VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
  bus_master: VFIO_DEVICE_FEATURE_BUS_MASTER,
  unknown: 0x7fff,
} as const;

/** VFIO_DEVICE_FEATURE: what vfio-pci offers, and each form of request that it must refuse (vfio_check_feature). */
export function deviceFeaturesSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_features", target, (address) => {
    const device = openForBlock(mode, address);
    const ask = (flags: number, size = 0, argsz?: number) =>
      new RawDevice(device()).feature(flags, new Uint8Array(size), argsz);

    for (const { name, feature, access, size } of OFFERED) {
      describe(name, () => {
        const requireOffered = (): void => {
          if (feature === VFIO_DEVICE_FEATURE_DMA_BUF) requireDmaBufs(new RawDevice(device()));
          if (feature !== VFIO_DEVICE_FEATURE_PCI_VF_TOKEN) return;
          if (readNumber(systemPaths.pciDevice(address, "sriov_totalvfs")) !== undefined) return;
          expect(ask(feature | SET | PROBE)).toBe("ENOTTY");
          skip({ reason: "the device has no virtual functions (SR-IOV)", remedy: "use an SR-IOV physical function" });
        };
        const other = access === GET ? SET : GET;

        it("probe_tells_the_access", () => {
          requireOffered();
          expect(ask(feature | PROBE | access)).toBe(0);
          expect(ask(feature | PROBE)).toBe(0);
          expect(ask(feature | PROBE | other)).toBe("EINVAL");
          expect(ask(feature | PROBE | GET | SET)).toBe("EINVAL");
        });

        it("other_access_is_refused", () => {
          requireOffered();
          expect(ask(feature | other, size)).toBe("EINVAL");
          expect(ask(feature | GET | SET, size)).toBe("EINVAL");
          expect(ask(feature, size)).toBe("EINVAL");
        });

        if (size > 0) {
          it("structure_too_short_is_refused", () => {
            requireOffered();
            expect(ask(feature | access, size - 1)).toBe("EINVAL");
            expect(ask(feature | access, 0)).toBe("EINVAL");
          });
        }
      });
    }

    for (const [name, feature] of Object.entries(NOT_OFFERED)) {
      it(`${name}_is_not_offered`, () => {
        for (const access of [GET, SET]) {
          expect(ask(feature | PROBE | access)).toBe("ENOTTY");
          expect(ask(feature | access, 64)).toBe("ENOTTY");
        }
      });
    }

    it("malformed_is_refused", () => {
      const feature = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
      expect(ask(feature | SET | PROBE, 0, 7)).toBe("EINVAL");
      for (let flag = 19; flag < 32; flag++)
        expect([flag, ask(feature | SET | PROBE | (1 << flag))]).toEqual([flag, "EINVAL"]);
    });
  });
}
