import { readNumber, systemPaths } from "@vfio-selftests/core/sysfs";
import {
  type StructLayout,
  StructView,
  VFIO_DEVICE_FEATURE,
  vfio_device_feature,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_GET as GET,
  VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP,
  VFIO_DEVICE_FEATURE_PCI_VF_TOKEN,
  VFIO_DEVICE_FEATURE_SET as SET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  vfio_device_info,
  VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_DEVICE_SET_IRQS,
  vfio_irq_info,
  vfio_irq_set,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_BOOL,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_IRQ_SET_DATA_NONE,
  VFIO_PCI_CONFIG_REGION_INDEX,
  vfio_pci_hot_reset_info,
  VFIO_PCI_REQ_IRQ_INDEX,
  vfio_region_info,
  VFIO_REGION_INFO_FLAG_CAPS,
} from "@vfio-selftests/core/uapi";
import { defaultMode, fixture, skip } from "@vfio-selftests/harness";
import { deviceFileOf } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { openForBlock } from "../rigs/device/open-device";
import { requireDmaBufs } from "../rigs/dma/dma-buf/dma-buf-rig";
import { askKernel, askPlainly, codeOf, NO_ADDRESS } from "../rigs/raw/ask-kernel";
import { MemoryWithoutPages } from "../rigs/raw/memory-without-pages";
import { RawDevice } from "../rigs/raw/raw-device";
import { ReadOnlyArgument } from "../rigs/raw/read-only-argument";
import type { SuiteTarget } from "../suite-target";

const REQUESTS = {
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_REGION_INFO,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_SET_IRQS,
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
  VFIO_DEVICE_PCI_HOT_RESET,
  VFIO_DEVICE_IOEVENTFD,
  VFIO_DEVICE_FEATURE,
};

/** Requests that write an answer: their structures as small as the kernel takes them. */
const ANSWERS: readonly { readonly named: Readonly<Record<string, number>>; readonly layout: StructLayout }[] = [
  { named: { VFIO_DEVICE_GET_INFO }, layout: vfio_device_info },
  { named: { VFIO_DEVICE_GET_REGION_INFO }, layout: vfio_region_info },
  { named: { VFIO_DEVICE_GET_IRQ_INFO }, layout: vfio_irq_info },
  { named: { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO }, layout: vfio_pci_hot_reset_info },
];

/** More than any structure: what the caller says it has, and has not. */
const SAID = 512;

/** Arguments of a device's requests that lie, wholly or in part, where the caller has no memory. */
export function badAddressesSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  fixture("vfio_pci_bad_addresses", target, (address) => {
    const device = openForBlock(mode, address);
    const file = () => deviceFileOf(device().vfio);

    const requireHotReset = (): void => {
      const named = { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO };
      if (askKernel(file(), named, vfio_pci_hot_reset_info, {}).code !== "ENODEV") return;
      skip({ reason: "the device's bus cannot be reset", remedy: "use a device behind a bridge of its own" });
    };

    for (const [name, request] of Object.entries(REQUESTS)) {
      it(`${name.toLowerCase()}_that_cannot_be_read_is_refused`, () => {
        expect(askPlainly(file(), { [name]: request }, NO_ADDRESS)).toBe("EFAULT");
      });
    }

    for (const { named, layout } of ANSWERS) {
      const [name = ""] = Object.keys(named);
      it(`${name.toLowerCase()}_that_cannot_be_answered_is_refused`, () => {
        if ("VFIO_DEVICE_GET_PCI_HOT_RESET_INFO" in named) requireHotReset();
        const view = new StructView(layout.size);
        view.u32[0] = layout.size;
        using readOnly = new ReadOnlyArgument(view.bytes);
        expect(askPlainly(file(), named, readOnly.address)).toBe("EFAULT");
      });
    }

    for (const [name, region] of [
      ["registers", 0],
      ["configuration", VFIO_PCI_CONFIG_REGION_INDEX],
    ] as const) {
      it(`${name}_read_into_and_written_from_nowhere_are_refused`, () => {
        using nowhere = new MemoryWithoutPages();
        const position = new RawDevice(device()).positionOf(region, 4);
        for (const length of [1, 2, 4, 8]) {
          const bytes = nowhere.bytes.subarray(0, length);
          const read = codeOf(native.pread(file().descriptor("read"), bytes, position));
          const written = codeOf(native.pwrite(file().descriptor("write"), bytes, position));
          expect({ length, read, written }).toEqual({ length, read: "EFAULT", written: "EFAULT" });
        }
      });
    }

    it("capabilities_of_a_region_without_room_are_refused", () => {
      const raw = { named: { VFIO_DEVICE_GET_REGION_INFO }, layout: vfio_region_info };
      const indexes = Array.from({ length: device().info.regionCount }, (_, index) => index);
      const withCapabilities = indexes.filter((index) => {
        const { view } = askKernel(file(), raw.named, raw.layout, { index });
        return (vfio_region_info.fields.flags.get(view) & VFIO_REGION_INFO_FLAG_CAPS) !== 0;
      });
      if (withCapabilities.length === 0) {
        skip({ reason: "no region of the device has capabilities", remedy: "use a device with MSI-X in a BAR" });
      }
      for (const index of withCapabilities) {
        const bytes = vfio_region_info.size;
        const { code } = askKernel(file(), raw.named, raw.layout, { index }, { bytes, said: SAID });
        expect({ index, code }).toEqual({ index, code: "EFAULT" });
      }
    });

    it("devices_of_a_hot_reset_without_room_are_refused", () => {
      requireHotReset();
      const layout = vfio_pci_hot_reset_info;
      const { code } = askKernel(
        file(),
        { VFIO_DEVICE_GET_PCI_HOT_RESET_INFO },
        layout,
        {},
        { bytes: layout.size, said: 64 * 1024 },
      );
      expect(code).toBe("EFAULT");
    });

    it("interrupts_whose_data_is_missing_are_not_set", () => {
      const { msi, msix } = device().interrupts;
      const messages = [msi, msix].filter(({ count }) => count > 0);
      for (const [index, data] of [
        [VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_SET_DATA_EVENTFD],
        ...messages.map((kind) => [kind.index, VFIO_IRQ_SET_DATA_EVENTFD] as const),
        [VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_SET_DATA_BOOL],
      ] as const) {
        const values = { flags: data | VFIO_IRQ_SET_ACTION_TRIGGER, index, start: 0, count: 1 };
        const bytes = vfio_irq_set.size;
        const { code } = askKernel(file(), { VFIO_DEVICE_SET_IRQS }, vfio_irq_set, values, { bytes, said: bytes + 4 });
        expect({ index, data, code }).toEqual({ index, data, code: "EFAULT" });
        // Nothing is there to be disabled.
        const flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
        expect(new RawDevice(device()).setIrqs({ flags, index, count: 0 })).toBe("EINVAL");
      }
    });

    const askFeature = (flags: number, data?: Uint8Array): string =>
      askKernel(
        file(),
        { VFIO_DEVICE_FEATURE },
        vfio_device_feature,
        { flags },
        { said: SAID, ...(data !== undefined && { data }) },
      ).code;

    it("features_whose_data_is_missing_are_refused", () => {
      expect(askFeature(VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP | SET)).toBe("EFAULT");
      // Only a physical function has a token (vfio_pci_vf_init).
      const hasToken = readNumber(systemPaths.pciDevice(address, "sriov_totalvfs")) !== undefined;
      expect(askFeature(VFIO_DEVICE_FEATURE_PCI_VF_TOKEN | SET)).toBe(hasToken ? "EFAULT" : "ENOTTY");
    });

    it("dma_bufs_whose_ranges_are_missing_are_refused", () => {
      requireDmaBufs(new RawDevice(device()));
      expect(askFeature(VFIO_DEVICE_FEATURE_DMA_BUF | GET)).toBe("EFAULT");
      // One range, which is not there.
      expect(askFeature(VFIO_DEVICE_FEATURE_DMA_BUF | GET, new Uint8Array(Uint32Array.of(0, 0, 0, 1).buffer))).toBe(
        "EFAULT",
      );
    });
  });
}
