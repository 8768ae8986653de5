import { accessSync, constants, readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { VfioError } from "@vfio-selftests/core";

/** Where a kernel tree keeps the compiled VFIO and IOMMU tests. */
const IN_KERNEL_TREE = ["vfio", "iommu"].map((target) => join("tools/testing/selftests", target));

/** Names of the kernel's test programs: vfio_dma_mapping_test, iommufd, iommufd_fail_nth, … */
const PROGRAM_NAME = /^(?:vfio_\w+_test|iommufd\w*)$/;

/** One compiled test program. */
export interface UpstreamProgram {
  readonly name: string;
  readonly path: string;
  /** VFIO's programs take device addresses as arguments; iommufd's bring their own mock device. */
  readonly takesDevices: boolean;
}

/** The programs in a kernel tree or in a directory of programs. Throws when there are none. */
export function findPrograms(directory: string): UpstreamProgram[] {
  const root = resolve(directory);
  if (!isDirectory(root)) {
    throw new VfioError(`${directory} is not a directory`, {
      code: "ENOENT",
      operation: "upstream",
      subject: directory,
      remedy: "give --dir a kernel tree, or a directory of compiled selftests",
    });
  }
  const trees = IN_KERNEL_TREE.map((path) => join(root, path)).filter(isDirectory);
  const programs = (trees.length > 0 ? trees : [root]).flatMap((path) => programsIn(path));
  if (programs.length === 0) {
    throw new VfioError(`no compiled test program in ${trees.length > 0 ? trees.join(", ") : directory}`, {
      code: "ERR_NO_PROGRAM",
      operation: "upstream",
      subject: directory,
      remedy: 'compile them in the kernel tree: make headers && make -C tools/testing/selftests TARGETS="vfio iommu"',
    });
  }
  return programs;
}

function programsIn(directory: string): UpstreamProgram[] {
  return readdirSync(directory)
    .filter((name) => PROGRAM_NAME.test(name))
    .map((name) => join(directory, name))
    .filter(isProgram)
    .sort()
    .map((path) => ({ name: basename(path), path, takesDevices: basename(path).startsWith("vfio_") }));
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
