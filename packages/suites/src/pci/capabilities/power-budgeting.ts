import { VFIO_PCI_CONFIG_REGION_INDEX } from "@vfio-selftests/core/uapi";
import { note, skip } from "@vfio-selftests/harness";
import type { CapabilityRig } from "../../rigs/config-space/capability-rig";
import { withInverted } from "../../rigs/config-space/inverted-registers";
import type { SuiteTarget } from "../../suite-target";

/** Power budgeting (PCI Express 4.0, section 7.8.1). */
const BUDGET = { id: 0x0004, bytes: 16, select: 4, data: 8 } as const;
const HEADER = 4;

/** Power budgeting: one byte takes a write, the selector of what the data register shows (init_pci_ext_cap_pwr_perm). */
export function powerBudgetingTests({ device, place, withPhysical }: CapabilityRig, target: SuiteTarget): void {
  it("power_budgeting_takes_a_write_in_one_byte", () => {
    withPhysical((physical) => {
      const at = place(BUDGET.id, true) + HEADER;
      withInverted(target, physical, at, BUDGET.bytes + 1 - HEADER, ({ before, inverted, taken }) => {
        const [select, data, behind] = [BUDGET.select, BUDGET.data, BUDGET.bytes].map((offset) => offset - HEADER);
        if ([select, data, behind].some((i) => i === undefined || taken[i] === before[i])) {
          skip({
            reason: "the device takes no write there, in it or behind it",
            remedy: "use the model: vfio-selftests lab run -d model:capabilities",
          });
        }
        device().vfio.writeRegion(VFIO_PCI_CONFIG_REGION_INDEX, at, inverted);
        const seen = physical.bytes(at, before.length);
        const changed = Array.from(seen.keys()).filter((i) => seen[i] !== before[i]);
        // The kernel takes the data register's first byte for the selector.
        const defect = changed[0] === data;
        if (defect) note("this kernel has docs/kernel-findings/power-budgeting-selector.md");
        expect(changed).toEqual([defect ? data : select, behind]);
      });
    });
  });
}
