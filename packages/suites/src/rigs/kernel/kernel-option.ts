import { readFileSync } from "node:fs";
import { release } from "node:os";
import { gunzipSync } from "node:zlib";
import { systemPaths } from "@vfio-selftests/core/sysfs";

/** The running kernel's configuration, where the kernel (CONFIG_IKCONFIG_PROC) or its distribution shows it. */
function configuration(): string | undefined {
  const sources = [
    () => gunzipSync(readFileSync(systemPaths.proc("config.gz"))).toString(),
    () => readFileSync(`/boot/config-${release()}`, "utf8"),
  ];
  for (const read of sources) {
    try {
      return read();
    } catch {
      // The next one, or nobody tells.
    }
  }
  return undefined;
}

/** Whether the running kernel was built without an option. False where nobody tells. */
export function isOff(option: string): boolean {
  return saysOff(configuration(), option);
}

/** Whether a configuration says that an option is off. Of an option that the version does not know it says nothing. */
export function saysOff(config: string | undefined, option: string): boolean {
  return config?.split("\n").includes(`# ${option} is not set`) ?? false;
}
