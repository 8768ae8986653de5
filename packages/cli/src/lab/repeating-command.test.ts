import { environmentOptions } from "@vfio-selftests/harness";
import { repeatingRun } from "../run/repeating-command";
import { repeatingLabRun } from "./repeating-command";

test("a report's command names the same VM and target, without the choice of tests and what is done with the report", () => {
  const words = repeatingLabRun({
    devices: ["igb*2", "edu"],
    iommu: "amd",
    kernelParameters: ["a b", "-c"],
    qemuArguments: ["-device", "edu,addr=3"],
    anyConfig: true,
    bootTimeoutMs: 5000,
    writable: ["/srv"],
    console: true,
    yes: true,
    mode: ["iommufd"],
    seed: 7,
    test: "memcpy",
    shard: { index: 1, count: 2 },
    jobs: 2,
    reporter: "json",
    output: "/o",
  });
  expect(words.slice(0, 2)).toEqual(["lab", "run"]);
  expect(new Set(words.slice(2))).toEqual(
    new Set([
      ...["--device=igb*2", "--device=edu", "--iommu=amd", "--append=a b", "--append=-c", "--boot-timeout=5"],
      ...["--qemu-arg=-device", "--qemu-arg=edu,addr=3", "--any-config"],
      ...["--mode=iommufd", "--seed=7"],
    ]),
  );
});

test("without a VM it names what the environment chose, too", () => {
  const environment = { VFIO_SELFTESTS_BDF: "0000:01:00.0", VFIO_SELFTESTS_SEED: "0", VFIO_SELFTESTS_FULL: "1" };
  expect(repeatingRun(environmentOptions(environment), { testTimeoutMs: 3000 })).toEqual([
    ...["run", "--device=0000:01:00.0", "--full", "--test-timeout=3", "--seed=0"],
  ]);
  expect(repeatingRun(environmentOptions({}), {})).toEqual(["run"]);
});
