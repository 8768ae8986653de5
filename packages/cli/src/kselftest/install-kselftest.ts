import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Errno, errnoName, systemError, systemResult } from "@vfio-selftests/core/errors";
import { ExitCode } from "../exit-codes";

/** The name for `run_kselftest.sh -c`. The kernel's own C tests are in `vfio`. */
const COLLECTION = "vfio-ts";
/** Of its one test. kselftest makes the name of KSELFTEST_VFIO_SELFTESTS_ARGS of it. */
const TEST = "vfio-selftests";
/** Seconds for all suites in all modes; kselftest's default is 45. */
const TIMEOUT_S = 3600;
const EXECUTABLE = 0o755;

const TEMPLATE = join(__dirname, "../../templates/kselftest", TEST);
const PROGRAM = join(__dirname, "../../bin/vfio-selftests.js");

/** `kselftest install`: adds the suites to an installed kselftest. A second time renews the files. */
export function installKselftest(path: string): number {
  const folder = resolve(path);
  const entry = `${COLLECTION}:${TEST}`;
  const list = join(folder, "kselftest-list.txt");
  attempt(folder, () => {
    const known = readFileSync(list, "utf8");
    mkdirSync(join(folder, COLLECTION), { recursive: true });
    writeFileSync(join(folder, COLLECTION, TEST), testScript(), { mode: EXECUTABLE });
    writeFileSync(join(folder, COLLECTION, "settings"), `timeout=${TIMEOUT_S}\n`);
    const separator = known === "" || known.endsWith("\n") ? "" : "\n";
    if (!known.split("\n").includes(entry)) appendFileSync(list, `${separator}${entry}\n`);
  });
  console.log(`${entry} is in ${folder}. To run it on a device that is bound to vfio-pci:\n`);
  console.log(`  VFIO_SELFTESTS_BDF=0000:6a:01.0 ${join(folder, "run_kselftest.sh")} -c ${COLLECTION}`);
  return ExitCode.ok;
}

function testScript(): string {
  return readFileSync(TEMPLATE, "utf8")
    .replace("__NODE__", () => quoted(process.execPath))
    .replace("__PROGRAM__", () => quoted(PROGRAM));
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function attempt(folder: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    const result = systemResult(error);
    const { path = folder } = error as NodeJS.ErrnoException;
    throw systemError(result, "kselftest", {
      message:
        result === -Errno.ENOENT
          ? `${folder} is no installed kselftest: it has no kselftest-list.txt`
          : `cannot write ${path}: ${errnoName(-result)}`,
      subject: path,
      remedy: "install kselftest to a folder of your own: make -C tools/testing/selftests install INSTALL_PATH=FOLDER",
      cause: error,
    });
  }
}
