import { readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { KernelArchitecture } from "../../architecture/lab-architecture";
import { configVersion } from "../../setup/kernel/kernel-config";
import { kernelRelease } from "./kernel-release";

/** The configuration that a kernel was built with. */
export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

/**
 * The configuration of an image: its build folder's `.config`, or what lies beside it as distributions (`config-RELEASE`), the
 * lab (`config`) and people (`.config`) put it there. A file of another version than the image's is none. Undefined where none
 * is known.
 */
export function configOfImage(image: string, { builtImage }: KernelArchitecture): ConfigFile | undefined {
  const real = realpathSync(image);
  const release = kernelRelease(real);
  const isOfImage = ({ text }: ConfigFile): boolean => release?.startsWith(`${configVersion(text)}.`) !== false;
  const candidates = real.endsWith(`/${builtImage}`)
    ? [join(real.slice(0, -builtImage.length), ".config")]
    : [`config-${release}`, "config", ".config"].map((name) => join(dirname(real), name));
  return candidates.flatMap((path) => readConfig(path) ?? []).find(isOfImage);
}

/** The file, if it can be read and the kernel's build wrote it. Other things are named `config`, too. */
export function readConfig(path: string): ConfigFile | undefined {
  try {
    const text = readFileSync(path, "utf8");
    return configVersion(text) === undefined ? undefined : { path, text };
  } catch {
    return undefined;
  }
}
