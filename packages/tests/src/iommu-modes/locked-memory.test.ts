import { spawnSync } from "node:child_process";
import { chownSync, statSync } from "node:fs";
import { kernelTarget } from "@vfio-selftests/cli/kernel-target";
import { iommuGroupOf, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import { eachMode, fixture, skip } from "@vfio-selftests/harness";

const NOBODY = 65534;
const target = kernelTarget();

/** Root has no limit on locked memory. The tests therefore lend the device's files to an ordinary user. */
fixture("iommu_modes_locked_memory", target, (address) => {
  eachMode(target, (mode) => {
    it("tells_the_limit_when_a_map_is_over_it", () => {
      if (process.getuid?.() !== 0)
        skip({ reason: "only root can lend a device to another user", remedy: "run as root, or in the lab" });
      const files =
        mode.traits.container === undefined
          ? ["/dev/iommu", vfioCdevPath(address)]
          : [`/dev/${mode.traits.container.path.join("/")}`, `/dev/vfio/${iommuGroupOf(address)}`];
      const answer = lend(files, () => asNobody(mode.name, address));
      expect(answer).toMatchObject({ code: "ENOMEM" });
      expect(answer.message).toMatch(/it is 64 KiB, \d+ KiB are locked and 1024 KiB more were asked for \(ulimit -l/);
    });
  });
});

/** Makes the user `nobody` the owner of the files while `use` runs. */
function lend<Result>(files: readonly string[], use: () => Result): Result {
  const owners = files.map((file) => ({ file, owner: statSync(file) }));
  try {
    for (const file of files) chownSync(file, NOBODY, NOBODY);
    return use();
  } finally {
    for (const { file, owner } of owners) chownSync(file, owner.uid, owner.gid);
  }
}

/** Maps 1 MiB under a limit of 64 KiB in a process of the user `nobody`. Returns the error's code and message. */
function asNobody(mode: string, address: string): { code?: string; message: string } {
  const program = `
    const { DmaMemory } = require(${JSON.stringify(require.resolve("@vfio-selftests/core"))});
    const { openIommu } = require(${JSON.stringify(require.resolve("@vfio-selftests/iommu-modes"))});
    const { native } = require(${JSON.stringify(require.resolve("@vfio-selftests/native"))});
    const RLIMIT_MEMLOCK = 8;
    native.setResourceLimit(RLIMIT_MEMLOCK, 65536, 65536);
    try {
      const iommu = openIommu(${JSON.stringify(mode)});
      iommu.openDevice(${JSON.stringify(address)});
      iommu.map(DmaMemory.allocate(1 << 20));
      console.log(JSON.stringify({ message: "mapped" }));
    } catch ({ code, message }) {
      console.log(JSON.stringify({ code, message }));
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["-e", program], {
    uid: NOBODY,
    gid: NOBODY,
    encoding: "utf8",
    cwd: "/",
  });
  if (stdout === "") return { message: stderr };
  return JSON.parse(stdout) as { code?: string; message: string };
}
