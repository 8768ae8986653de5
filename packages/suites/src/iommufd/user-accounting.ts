import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
  IOMMU_OPTION_RLIMIT_MODE,
  O_RDWR,
} from "@vfio-selftests/core/uapi";
import { fixture, notChecked, requireMode, skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { modesOf } from "../rigs/iommu/modes-of";
import { requireMapFile } from "../rigs/kernel/require-map-file";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockDevice } from "../rigs/mock-iommu/mock-device";
import { type SpaceStep, spaceSteps, type StepResult } from "../rigs/ordinary-user/space-steps";
import { askKernel } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const [HERE, THERE, ELSEWHERE] = [0x4000_0000, 0x4010_0000, 0x4020_0000] as const;
/** In the mock IOMMU's aperture. */
const LOW = 0x0200_0000;
const LIMIT = 8;
/** Two processes start, of which each takes seconds on an emulated machine. */
const TIMEOUT_MS = 120_000;
const PAGE = BigInt(PAGE_SIZE);
/** fcntl(2) */
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** Whom the pages of an iommufd count for: by a file or an address, attached late, in either mode, for a process or its heir. */
export function userAccountingSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  fixture("iommufd_user_accounting", target, (address) => {
    requireMode(mode);
    it(
      "limit_counts_files_later_devices_and_heirs",
      () => {
        using iommufd = new IommufdFile();
        requireMapFile(iommufd);
        const { files, late, heirs } = askAsUser(address);
        // incr_user_locked_vm, iopt_pages_update_pinned
        expect(counts(files)).toEqual([
          ["ENOMEM", 0],
          ["ok", 5],
          ["ENOMEM", 5],
          ["ok", 8],
          ["ENOMEM", 8],
          ["ok", 3],
          ["ok", 8],
          ["ok", 5],
          ["ok", 0],
        ]);
        // Only the other mode of the limit counts as mlock does.
        expect(files.map(({ locked }) => locked)).toEqual(files.map(() => 0));
        // Without a device nothing is pinned (iopt_area_fill_domain).
        if (late.length === 0) notChecked("a device that comes later", "the kernel has no mock devices");
        else {
          expect(counts(late)).toEqual([
            ["ok", 0],
            ["ENOMEM", 0],
            ["ok", 0],
            ["ok", 0],
            ["ok", LIMIT],
            ["ENOMEM", LIMIT],
            ["ok", 0],
          ]);
        }
        expect(counts(heirs)).toEqual([
          ["ok", 3],
          ["ok", 5],
          ["ok", 5],
          // Both processes count for a moment, and the user has room for eight.
          ["ENOMEM", 0],
          ["ok", 0],
          ["ok", 3],
          ["ok", 3],
          ["ok", 0],
          // Nothing counts any more.
          ["ok", LIMIT],
        ]);
        // The first process is free of it at once (iommufd_ioas_change_process).
        expect(heirs.slice(3, -1).map(({ starterPinned }) => starterPinned)).toEqual([5, 3, 0, 0, 0]);
      },
      TIMEOUT_MS,
    );

    it(
      "limit_of_a_process_counts_as_locked_memory",
      () => {
        using iommufd = new IommufdFile();
        requireMapFile(iommufd);
        using device = new DeviceFile(address);
        // Only before the first object. Type 1 counts so, and vfio_compat.c for /dev/vfio/vfio.
        expect(iommufd.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1)).toBe("ok");
        expect(device.bind(iommufd).code).toBe("ok");
        const ioas = iommufd.newIoas();
        expect(device.attach(ioas).code).toBe("ok");
        const steps: SpaceStep[] = [
          { do: "count_for_process" },
          { do: "map", ioas, pages: 5, iova: HERE },
          { do: "map", ioas, pages: 4, iova: THERE },
          { do: "map_file", ioas, pages: 3, iova: THERE },
          { do: "unmap", ioas, pages: 5, iova: HERE },
          { do: "unmap", ioas, pages: 3, iova: THERE },
        ];
        expect(counts(lend(iommufd, steps), "locked")).toEqual([
          // Needs CAP_SYS_RESOURCE. Whoever has that is told EBUSY, because there are objects.
          ["EPERM", 0],
          ["ok", 5],
          ["ENOMEM", 5],
          ["ok", 8],
          ["ok", 3],
          ["ok", 0],
        ]);
      },
      TIMEOUT_MS,
    );

    it("file_is_let_go_with_its_mapping", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
      requireMapFile(iommufd);
      const memfd = native.memfdCreate("let go", 0);
      expect(native.ftruncate(memfd, 2 * PAGE_SIZE)).toBe(0);
      const open = () => native.open(systemPaths.proc("self", "fd", String(memfd)), O_RDWR);
      const [mapped, mine] = [open(), open()];
      native.close(memfd);
      try {
        // A write lease is for whoever alone has the file open for writing.
        const isAlone = () => native.fcntl(mine, F_SETLEASE, F_WRLCK) === 0;
        const values = { flags: FIXED | READ | WRITE, ioas_id: ioas, fd: mapped, length: PAGE, iova: HERE };
        expect(askKernel(iommufd.file, { IOMMU_IOAS_MAP_FILE }, iommu_ioas_map_file, values).code).toBe("ok");
        native.close(mapped);
        const whileMapped = isAlone();
        expect(iommufd.unmap(ioas, BigInt(HERE), PAGE).length).toBe(PAGE);
        expect([whileMapped, isAlone()]).toEqual([false, true]);
        expect(native.fcntl(mine, F_SETLEASE, F_UNLCK)).toBe(0);
      } finally {
        native.close(mine);
      }
    });
  });
}

/** What the kernel answers a user of no privileges, who may lock as many pages as the limit says. */
interface UserAnswers {
  readonly files: StepResult[];
  /** Empty where the kernel has no mock devices. */
  readonly late: StepResult[];
  readonly heirs: StepResult[];
}

/** Lets one process make all the steps of the user's, because it takes seconds to start on an emulated machine. */
function askAsUser(address: string): UserAnswers {
  using attached = new AttachedSpace(address);
  const { iommufd, ioas } = attached;
  const files: SpaceStep[] = [
    { do: "map_file", ioas, pages: LIMIT + 1, iova: HERE },
    { do: "map_file", ioas, pages: 5, iova: HERE },
    { do: "map", ioas, pages: 4, iova: THERE },
    { do: "map", ioas, pages: 3, iova: THERE },
    { do: "map_file", ioas, pages: 1, iova: ELSEWHERE },
    { do: "unmap", ioas, pages: 5, iova: HERE },
    { do: "map_file", ioas, pages: 5, iova: ELSEWHERE },
    { do: "unmap", ioas, pages: 3, iova: THERE },
    { do: "unmap", ioas, pages: 5, iova: ELSEWHERE },
  ];
  const late = MockDevice.availability().available ? stepsBeforeDevice(iommufd.newIoas()) : [];
  const heirSteps: SpaceStep[] = [
    { do: "take_over" },
    { do: "unmap", ioas, pages: 2, iova: THERE },
    { do: "take_over" },
    { do: "unmap", ioas, pages: 3, iova: HERE },
    { do: "unmap", ioas, pages: 3, iova: ELSEWHERE },
  ];
  const results = lend(iommufd, [
    ...files,
    ...late,
    { do: "map_file", ioas, pages: 3, iova: HERE },
    { do: "map_file", ioas, pages: 2, iova: THERE },
    // The same pages once more, which the heir must not be charged for twice.
    { do: "copy", ioas, pages: 3, iova: ELSEWHERE, from: HERE },
    { do: "other", limitPages: LIMIT, steps: heirSteps },
    { do: "map", ioas, pages: LIMIT, iova: HERE },
  ]);
  return { files: results.splice(0, files.length), late: results.splice(0, late.length), heirs: results };
}

/** Maps before a mock device is there, which pins. */
function stepsBeforeDevice(ioas: number): SpaceStep[] {
  return [
    { do: "map", ioas, pages: LIMIT + 1, iova: LOW },
    { do: "attach_mock", ioas },
    { do: "unmap", ioas, pages: LIMIT + 1, iova: LOW },
    { do: "map_file", ioas, pages: LIMIT, iova: LOW },
    { do: "attach_mock", ioas },
    { do: "map", ioas, pages: 1, iova: 2 * LOW },
    { do: "unmap", ioas, pages: LIMIT, iova: LOW },
  ];
}

/** The answer to each step, and the pages of a count after it. */
function counts(results: readonly StepResult[], count: "pinned" | "locked" = "pinned") {
  return results.map((result) => [result.code, result[count]]);
}

/** Lets a process of user nobody take the steps. Skips the test unless root runs it. */
function lend(iommufd: IommufdFile, steps: readonly SpaceStep[]): StepResult[] {
  if (process.getuid?.() !== 0) {
    skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
  }
  return spaceSteps(iommufd.file.descriptor("spawn"), { limitPages: LIMIT, steps });
}
