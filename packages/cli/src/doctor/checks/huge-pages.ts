import type { HugePageCounts } from "@vfio-selftests/core/sysfs";
import { byteSize } from "../../terminal/byte-size";
import type { Check, Finding } from "../check";

/** How many pages the suites map at once, by size in bytes. */
const WANTED: ReadonlyMap<number, number> = new Map([
  [2 ** 21, 1],
  [2 ** 30, 1],
]);

/** Tests with huge pages take them from the administrator's reserve. */
export const hugePages: Check = {
  id: "huge-pages",
  subject: "devices",
  title: "huge pages",
  examine: ({ hugePages: counts }) => [...WANTED].flatMap(([size, wanted]) => missing(size, wanted, counts.get(size))),
};

function missing(size: number, wanted: number, counts: HugePageCounts | undefined): Finding[] {
  if (counts === undefined) {
    return [
      {
        severity: "note",
        text: `this machine has no huge pages of ${byteSize(size)}: their tests skip`,
        advice: "use a kernel with CONFIG_HUGETLBFS, and a CPU that has them",
        commands: [],
      },
    ];
  }
  if (counts.free - counts.promised >= wanted) return [];
  const file = `/sys/kernel/mm/hugepages/hugepages-${size / 1024}kB/nr_hugepages`;
  return [
    {
      severity: "limits",
      text: `no huge page of ${byteSize(size)} is free: its tests skip`,
      commands: [`echo ${counts.reserved + wanted} | sudo tee ${file}`],
    },
  ];
}
