import { writeFileSync } from "node:fs";
import { VfioError } from "@vfio-selftests/core";
import {
  existsPath,
  iommuGroupMembers,
  iommuGroupOf,
  listDirectory,
  readNumber,
  systemPaths,
} from "@vfio-selftests/core/sysfs";
import { defaultMode, eachMode, GuardedDriver, knownKernelDefect, requireMode, skip } from "@vfio-selftests/harness";
import { devicesOfOneGroup } from "../devices/group-members";
import { Removal } from "../rigs/bus/removal";
import { bridgesAbove } from "../rigs/bus/upstream-bridge";
import { CopyRig, DeviceCopier } from "../rigs/dma/copy-rig";
import { Reach } from "../rigs/dma/reach";
import { faultReportOf } from "../rigs/iommu/fault-sources";
import type { SuiteTarget } from "../suite-target";

const TIMEOUT_MS = 60_000;
/** Page-aligned IOVAs that nobody maps, one for each member. */
const UNMAPPED = 0x0800_0000n;
const STEP = 0x1_0000n;
const MARK = 0x5a;
/** The IOMMU has no entry for the requester: VT-d's fault reason 2; AMD-Vi's fault of an entry without a page table. */
const ENTRY_IS_GONE = /Present bit in context entry is clear|AMD-Vi: Event logged \[IO_PAGE_FAULT/;
/** Drivers that do DMA by themselves, so that they must not have a device in a user's group. */
const DMA_DRIVERS = ["nvme", "ioatdma", "idxd", "igb", "e1000e"] as const;

/** Devices behind a PCIe-to-PCI bridge: the IOMMU cannot tell them apart, because the bridge's id is on each request. */
export function dmaAliasSuite(target: SuiteTarget): void {
  const mode = defaultMode(target);

  describe("vfio_dma_alias", () => {
    eachMode(target, (each) => {
      it(
        "requests_carry_the_bridges_id",
        () => {
          const { members, alias } = aliasedGroup(target);
          using rig = new CopyRig(target, each, members);
          const requesters = rig.copiers.map(({ session, destination }, number) => {
            const iova = UNMAPPED + BigInt(number) * STEP;
            return faultReportOf(iova, () => attempt(() => session.memcpySync(iova, destination.iova, 64)))?.requester;
          });
          expect(requesters).toEqual(members.map(() => alias));
          for (const copier of rig.copiers) copier.copy();
        },
        TIMEOUT_MS,
      );

      it(
        "each_reaches_what_another_maps_and_none_what_it_unmaps",
        () => {
          const { members } = aliasedGroup(target);
          using rig = new CopyRig(target, each, members);
          const [first, second] = rig.copiers as [DeviceCopier, DeviceCopier];
          const { destination } = first;
          const { iova, bytes } = destination;
          new Reach(second).expectWrite(iova, bytes);
          new Reach(second).expectRead(iova, bytes);
          destination.unmap();
          new Reach(second).expectNoWrite(iova, bytes);
          new Reach(second).expectNoRead(iova, bytes);
        },
        TIMEOUT_MS,
      );

      it(
        "member_that_is_removed_and_found_again_joins_the_address_space",
        async () => {
          const { members, group, alias } = aliasedGroup(target);
          const [first = "", second = ""] = members;
          await using removal = new Removal(target, first);
          using rig = new CopyRig(target, each, [first, second]);
          const [leaving, staying] = rig.copiers as [DeviceCopier, DeviceCopier];
          removal.begin();
          leaving.close();
          expect(await removal.end()).toBe("ok");
          expectDmaUnlessKnownDefect(staying, alias);
          removal.bringBack();
          expect(iommuGroupOf(first)).toBe(group);
          const again = new DeviceCopier(target, rig.iommu, first, 7);
          try {
            again.copy();
            new Reach(again).expectWrite(staying.destination.iova, staying.destination.bytes);
            staying.copy();
          } finally {
            again.close();
          }
        },
        TIMEOUT_MS,
      );
    });

    describe("group", () => {
      requireMode(mode);

      it("is_the_bridge_and_all_behind_it", () => {
        const { bridge, group } = aliasedGroup(target);
        const behind = listDirectory(systemPaths.sys("bus", "pci", "devices")).filter((address) =>
          bridgesAbove(address).includes(bridge),
        );
        expect(iommuGroupMembers(group).map(({ address }) => address)).toEqual([bridge, ...behind].sort());
      });

      it("of_a_user_has_no_place_for_a_driver_that_does_dma", () => {
        const { members } = aliasedGroup(target);
        const [first = "", second = ""] = members;
        const driver = DMA_DRIVERS.find((name) => existsPath(systemPaths.sys("bus", "pci", "drivers", name)));
        if (driver === undefined) {
          skip({ reason: `the kernel has none of ${DMA_DRIVERS.join(", ")}`, remedy: "use the lab's kernel" });
        }
        using guarded = new GuardedDriver(second);
        using rig = new CopyRig(target, mode, [first]);
        // really_probe asks pci_dma_configure first: the driver itself never sees the device.
        guarded.unbind();
        writeFileSync(systemPaths.pciDevice(second, "driver_override"), `${driver}\n`);
        expect(() => writeFileSync(systemPaths.sys("bus", "pci", "drivers", driver, "bind"), second)).toThrow("EBUSY");
        expect(guarded.current).toBeUndefined();
        rig.copier.copy();
        // One that does no DMA is welcome.
        guarded.bind("pci-stub");
        expect(guarded.current).toBe("pci-stub");
        rig.copier.copy();
      });
    });
  });
}

interface AliasedGroup {
  readonly members: string[];
  readonly group: number;
  /** The bridge that puts its own id on the requests of all behind it. */
  readonly bridge: string;
  /** That id: device 0, function 0 of the bus behind the bridge (PCI Express to PCI/PCI-X Bridge 1.0, 2.3). */
  readonly alias: string;
}

/** Skips the test where no group of the run's devices is one for its bridge. */
function aliasedGroup({ devices }: SuiteTarget): AliasedGroup {
  const members = devicesOfOneGroup(devices);
  const [first = ""] = members;
  const group = iommuGroupOf(first);
  // The last of a group's bridges on the way up takes all requests in.
  const bridge = bridgesAbove(first).findLast((address) => iommuGroupOf(address) === group);
  if (bridge === undefined) {
    skip({
      reason: `no bridge is in IOMMU group ${group}`,
      remedy: "use devices behind a PCIe-to-PCI bridge: vfio-selftests lab run --device edu-group",
    });
  }
  const bus = readNumber(systemPaths.pciDevice(bridge, "secondary_bus_number")) ?? NaN;
  return { members, group, bridge, alias: `${bridge.slice(0, 5)}${bus.toString(16).padStart(2, "0")}:00.0` };
}

/**
 * Copies while another member is gone. Where the data do not arrive, the kernel must report the fault of the known defect,
 * and no other.
 */
function expectDmaUnlessKnownDefect({ session, source, destination, size }: DeviceCopier, alias: string): void {
  knownKernelDefect(ENTRY_IS_GONE, "docs/kernel-findings/removed-device-blocks-its-alias.md");
  const copy = (): boolean => {
    source.bytes.fill(MARK);
    destination.bytes.fill(0);
    attempt(() => session.memcpySync(source.iova, destination.iova, size));
    return destination.bytes.subarray(0, size).every((byte) => byte === MARK);
  };
  if (copy()) return;
  const { requester, text } = faultReportOf(source.iova, copy) ?? {};
  expect([requester, text]).toEqual([alias, expect.stringMatching(ENTRY_IS_GONE)]);
}

/** The device may report the fault, or hide it. */
function attempt(copy: () => void): void {
  try {
    copy();
  } catch (error) {
    if (!(error instanceof VfioError)) throw error;
  }
}
