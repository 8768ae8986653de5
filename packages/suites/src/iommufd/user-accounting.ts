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
import { fixture, requireMode, skip } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { MockDevice } from "../rigs/mock-iommu/mock-device";
import { type SpaceStep, spaceSteps, type StepResult } from "../rigs/ordinary-user/space-steps";
import { askKernel } from "../rigs/raw/ask-kernel";
import { AttachedSpace } from "../rigs/raw/attached-space";
import { DeviceFile, IommufdFile } from "../rigs/raw/iommufd-files";
import type { SuiteTarget } from "../suite-target";

const [HERE, THERE, ELSEWHERE] = [0x4000_0000, 0x4010_0000, 0x4020_0000] as const;
const LIMIT = 8;
/** A process takes seconds to start on an emulated machine. */
const TIMEOUT_MS = 120_000;
const PAGE = BigInt(PAGE_SIZE);
/** fcntl(2) */
const F_SETLEASE = 1024;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** Whom the pages of an iommufd count for: by a file or an address, attached late, in either mode, for a process or its heir. */
export function userAccountingSuite(target: SuiteTarget): void {
  const mode = target.modes.find(({ traits }) => traits.api === "iommufd");
  if (mode === undefined) return;

  fixture("iommufd_user_accounting", target, (address) => {
    requireMode(mode);
    /** The answer to each step, and the pages of a count after it. */
    const take = (iommufd: IommufdFile, steps: readonly SpaceStep[], count: keyof StepResult = "pinned") =>
      lend(iommufd, steps).map((result) => [result.code, result[count]]);

    it(
      "files_count_against_the_limit",
      () => {
        using attached = new AttachedSpace(address);
        const { iommufd, ioas } = attached;
        const results = lend(iommufd, [
          { do: "map_file", ioas, pages: LIMIT + 1, iova: HERE },
          { do: "map_file", ioas, pages: 5, iova: HERE },
          { do: "map", ioas, pages: 4, iova: THERE },
          { do: "map", ioas, pages: 3, iova: THERE },
          { do: "map_file", ioas, pages: 1, iova: ELSEWHERE },
          { do: "unmap", ioas, pages: 5, iova: HERE },
          { do: "map_file", ioas, pages: 5, iova: ELSEWHERE },
        ]);
        // incr_user_locked_vm, iopt_pages_update_pinned
        expect(results.map(({ code, pinned }) => [code, pinned])).toEqual([
          ["ENOMEM", 0],
          ["ok", 5],
          ["ENOMEM", 5],
          ["ok", 8],
          ["ENOMEM", 8],
          ["ok", 3],
          ["ok", 8],
        ]);
        // Only the other mode of the limit counts as mlock does.
        expect(results.map(({ locked }) => locked)).toEqual(results.map(() => 0));
      },
      TIMEOUT_MS,
    );

    it(
      "limit_holds_for_a_device_that_comes_later",
      () => {
        const availability = MockDevice.availability();
        if (!availability.available) skip(availability);
        using iommufd = new IommufdFile();
        const ioas = iommufd.newIoas();
        const taken = take(iommufd, [
          { do: "map", ioas, pages: LIMIT + 1, iova: 0x0200_0000 },
          { do: "attach_mock", ioas },
          { do: "unmap", ioas, pages: LIMIT + 1, iova: 0x0200_0000 },
          { do: "map_file", ioas, pages: LIMIT, iova: 0x0200_0000 },
          { do: "attach_mock", ioas },
          { do: "map", ioas, pages: 1, iova: 0x0300_0000 },
        ]);
        // Without a device nothing is pinned (iopt_area_fill_domain).
        expect(taken).toEqual([
          ["ok", 0],
          ["ENOMEM", 0],
          ["ok", 0],
          ["ok", 0],
          ["ok", LIMIT],
          ["ENOMEM", LIMIT],
        ]);
      },
      TIMEOUT_MS,
    );

    it(
      "limit_of_a_process_counts_as_locked_memory",
      () => {
        using iommufd = new IommufdFile();
        using device = new DeviceFile(address);
        // Only before the first object. Type 1 counts so, and vfio_compat.c for /dev/vfio/vfio.
        expect(iommufd.setOption(IOMMU_OPTION_RLIMIT_MODE, 0, 1)).toBe("ok");
        expect(device.bind(iommufd).code).toBe("ok");
        const ioas = iommufd.newIoas();
        expect(device.attach(ioas).code).toBe("ok");
        const steps: SpaceStep[] = [
          { do: "map", ioas, pages: 5, iova: HERE },
          { do: "map", ioas, pages: 4, iova: THERE },
          { do: "map_file", ioas, pages: 3, iova: THERE },
          { do: "unmap", ioas, pages: 5, iova: HERE },
          { do: "unmap", ioas, pages: 3, iova: THERE },
        ];
        expect(take(iommufd, steps, "locked")).toEqual([
          ["ok", 5],
          ["ENOMEM", 5],
          ["ok", 8],
          ["ok", 3],
          ["ok", 0],
        ]);
      },
      TIMEOUT_MS,
    );

    it(
      "heir_is_charged_for_what_it_takes_over",
      () => {
        using attached = new AttachedSpace(address);
        const { iommufd, ioas } = attached;
        const steps: SpaceStep[] = [
          { do: "map_file", ioas, pages: 3, iova: HERE },
          {
            do: "other",
            limitPages: LIMIT,
            steps: [{ do: "take_over" }, { do: "unmap", ioas, pages: 3, iova: HERE }],
          },
        ];
        const results = lend(iommufd, steps);
        expect(results.map(({ code, pinned }) => [code, pinned])).toEqual([
          ["ok", 3],
          ["ok", 3],
          ["ok", 0],
        ]);
        // The first process is free of it at once (iommufd_ioas_change_process).
        expect(results.slice(1).map(({ starterPinned }) => starterPinned)).toEqual([0, 0]);
      },
      TIMEOUT_MS,
    );

    it(
      "heir_without_room_takes_nothing_over",
      () => {
        using attached = new AttachedSpace(address);
        const { iommufd, ioas } = attached;
        const results = lend(iommufd, [
          { do: "map_file", ioas, pages: 5, iova: HERE },
          // Both count for a moment, and the user has room for eight.
          { do: "other", limitPages: LIMIT, steps: [{ do: "take_over" }] },
          { do: "map", ioas, pages: 3, iova: THERE },
          { do: "map", ioas, pages: 1, iova: ELSEWHERE },
          { do: "unmap", ioas, pages: 5, iova: HERE },
        ]);
        expect(results.map(({ code, pinned }) => [code, pinned])).toEqual([
          ["ok", 5],
          ["ENOMEM", 0],
          ["ok", 8],
          ["ENOMEM", 8],
          ["ok", 3],
        ]);
        expect(results[1]?.starterPinned).toBe(5);
      },
      TIMEOUT_MS,
    );

    it("file_is_let_go_with_its_mapping", () => {
      using attached = new AttachedSpace(address);
      const { iommufd, ioas } = attached;
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

/** Lets a process of user nobody take the steps. Skips the test unless root runs it. */
function lend(iommufd: IommufdFile, steps: readonly SpaceStep[]): StepResult[] {
  if (process.getuid?.() !== 0) {
    skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
  }
  return spaceSteps(iommufd.file.descriptor("spawn"), { limitPages: LIMIT, steps });
}
