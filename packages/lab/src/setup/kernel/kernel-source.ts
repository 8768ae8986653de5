import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { AptWorkspace } from "../debian/apt-workspace";

export interface KernelSource {
  /** The Debian package version, such as `7.2.12-1~bpo13+1`. */
  readonly version: string;
  /** The unpacked tree. */
  readonly folder: string;
}

interface StepOptions {
  signal?: AbortSignal | undefined;
  onLine?: (line: string) => void;
}

/** The newest kernel source of the suites, on which the metapackage `linux-source` depends. */
export async function newestKernelSource(
  host: LabHost,
  apt: AptWorkspace,
  options: StepOptions,
): Promise<{ package: string; version: string }> {
  const depends = await execute(host, ["apt-cache", "depends", "linux-source"], { env: apt.env, ...options });
  const name = /Depends: (linux-source-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw noSource("the package linux-source depends on no linux-source-X.Y");
  const policy = await execute(host, ["apt-cache", "policy", name], { env: apt.env, ...options });
  const version = /Candidate: (\S+)/.exec(policy)?.[1];
  if (version === undefined || version === "(none)") throw noSource(`the package ${name} is not in the archive`);
  return { package: name, version };
}

/** The newest source that an earlier set-up has left unpacked below `folder`. */
export function keptKernelSource(folder: string): KernelSource | undefined {
  if (!existsSync(folder)) return undefined;
  const name = readdirSync(folder)
    .filter((entry) => /^linux-source-[^_]+_[^_]+$/.test(entry) && !entry.endsWith(".tmp"))
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  return name === undefined ? undefined : { version: name.slice(name.indexOf("_") + 1), folder: join(folder, name) };
}

/** Fetches and unpacks a source below `folder`. It uses what an earlier try has finished. */
export async function fetchKernelSource(
  host: LabHost,
  apt: AptWorkspace,
  source: { package: string; version: string },
  folder: string,
  options: StepOptions,
): Promise<KernelSource> {
  const tree = join(folder, `${source.package}_${source.version}`);
  if (existsSync(tree)) return { version: source.version, folder: tree };
  mkdirSync(folder, { recursive: true });
  const isPackage = (name: string): boolean => name.startsWith(`${source.package}_`) && name.endsWith(".deb");
  // apt goes on with a partial download and checks the digest.
  await execute(host, ["apt-get", "download", `${source.package}=${source.version}`], {
    cwd: folder,
    env: apt.env,
    ...options,
  });
  const deb = readdirSync(folder).find(isPackage);
  if (deb === undefined) throw noSource(`apt-get did not download ${source.package}`);
  const unfinished = `${tree}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  try {
    const unpack =
      'dpkg-deb --fsys-tarfile "$0" | tar -xOf - --wildcards "./usr/src/linux-source-*.tar.xz" | xz -dc -T0 | tar -xf - --strip-components=1 -C "$1"';
    await execute(host, ["bash", "-o", "pipefail", "-c", unpack, join(folder, deb), unfinished], options);
    renameSync(unfinished, tree);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  rmSync(join(folder, deb));
  return { version: source.version, folder: tree };
}

function noSource(message: string): VfioError {
  return new VfioError(`cannot find a kernel source: ${message}`, {
    code: "ERR_LAB_NO_KERNEL_SOURCE",
    operation: "lab setup",
    subject: "linux-source",
    remedy: "give a kernel image that you built yourself with --kernel",
  });
}
