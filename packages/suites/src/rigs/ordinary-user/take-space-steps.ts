import { DmaMemory } from "@vfio-selftests/core";
import { errnoName } from "@vfio-selftests/core/errors";
import {
  IOMMU_IOAS_CHANGE_PROCESS,
  IOMMU_IOAS_COPY,
  iommu_ioas_copy,
  IOMMU_IOAS_MAP,
  iommu_ioas_map,
  IOMMU_IOAS_MAP_FILE,
  iommu_ioas_map_file,
  IOMMU_IOAS_MAP_FIXED_IOVA as FIXED,
  IOMMU_IOAS_MAP_READABLE as READ,
  IOMMU_IOAS_MAP_WRITEABLE as WRITE,
  IOMMU_IOAS_UNMAP,
  iommu_ioas_unmap,
  IOMMU_OPTION,
  iommu_option,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
} from "@vfio-selftests/core/uapi";
import { native } from "@vfio-selftests/native";
import { IOMMU_TEST_CMD, IOMMU_TEST_OP_MOCK_DOMAIN, mock_domain } from "../mock-iommu/test-command";
import { bytesOf } from "../raw/ask-kernel";
import { lockedMemory } from "./locked-memory";
import { IOMMUFD, type SpaceProgram, type SpaceStep, spaceSteps, type StepResult } from "./space-steps";

const RLIMIT_MEMLOCK = 8;
const page = native.pageSize();

/** The program of {@link spaceSteps}: takes the steps, and prints a result for each. Results of another process stand where its steps were. */
const { limitPages, steps } = JSON.parse(process.argv[2] ?? "") as SpaceProgram;
native.setResourceLimit(RLIMIT_MEMLOCK, limitPages * page, limitPages * page);
const kept: DmaMemory[] = [];
const results = steps.flatMap((step): StepResult[] => {
  if (step.do === "other") return spaceSteps(IOMMUFD, step);
  const code = answer(take(step));
  const { pinned, locked } = lockedMemory();
  return [{ code, pinned, locked, starterPinned: lockedMemory(process.ppid).pinned }];
});
console.log(JSON.stringify(results));
for (const memory of kept) memory.close();

function take(step: Exclude<SpaceStep, { do: "other" }>): number {
  switch (step.do) {
    case "map": {
      const user_va = memoryOf(step.pages, "anonymous").address;
      return ask(IOMMU_IOAS_MAP, bytesOf(iommu_ioas_map, { size: iommu_ioas_map.size, ...placeOf(step), user_va }));
    }
    case "map_file": {
      const { file } = memoryOf(step.pages, "memfd");
      const values = { size: iommu_ioas_map_file.size, ...placeOf(step), fd: file?.fd ?? -1 };
      return ask(IOMMU_IOAS_MAP_FILE, bytesOf(iommu_ioas_map_file, values));
    }
    case "unmap": {
      const { ioas: ioas_id, iova, pages } = step;
      const values = { size: iommu_ioas_unmap.size, ioas_id, iova, length: pages * page };
      return ask(IOMMU_IOAS_UNMAP, bytesOf(iommu_ioas_unmap, values));
    }
    case "copy": {
      const { ioas, from, iova, pages } = step;
      const spaces = { src_ioas_id: ioas, src_iova: from, dst_ioas_id: ioas, dst_iova: iova };
      const values = { size: iommu_ioas_copy.size, flags: FIXED | READ | WRITE, ...spaces, length: pages * page };
      return ask(IOMMU_IOAS_COPY, bytesOf(iommu_ioas_copy, values));
    }
    case "count_for_process": {
      const option = { option_id: IOMMU_OPTION_RLIMIT_MODE, op: IOMMU_OPTION_OP_SET, val64: 1 };
      return ask(IOMMU_OPTION, bytesOf(iommu_option, { size: iommu_option.size, ...option }));
    }
    case "take_over":
      return ask(IOMMU_IOAS_CHANGE_PROCESS, new Uint8Array(Uint32Array.of(8, 0).buffer));
    case "attach_mock": {
      const values = { size: mock_domain.size, op: IOMMU_TEST_OP_MOCK_DOMAIN, id: step.ioas };
      return ask(IOMMU_TEST_CMD, bytesOf(mock_domain, values));
    }
  }
}

function placeOf({ ioas, pages, iova }: Extract<SpaceStep, { do: "map" | "map_file" }>) {
  return { flags: FIXED | READ | WRITE, ioas_id: ioas, length: pages * page, iova };
}

function memoryOf(pages: number, backing: "anonymous" | "memfd"): DmaMemory {
  const memory = DmaMemory.allocate(pages * page, { backing });
  kept.push(memory);
  return memory;
}

function ask(request: number, argument: Uint8Array): number {
  return native.ioctl(IOMMUFD, request, argument);
}

function answer(result: number): string {
  return result < 0 ? errnoName(-result) : "ok";
}
