import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { DebianArchive } from "../debian/debian-archive";

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

/** The newest kernel source of the archive, on which the metapackage `linux-source` depends. */
export async function newestKernelSource(archive: DebianArchive): Promise<{ package: string; version: string }> {
  const { depends = [] } = (await archive.newest("linux-source")) ?? {};
  const name = depends.find((other) => other.startsWith("linux-source-"));
  if (name === undefined) throw noSource("the package linux-source depends on no linux-source-X.Y");
  const newest = await archive.newest(name);
  if (newest === undefined) throw noSource(`the package ${name} is not in the archive`);
  return { package: name, version: newest.version };
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
  archive: DebianArchive,
  source: { package: string; version: string },
  folder: string,
  options: StepOptions,
): Promise<KernelSource> {
  const tree = join(folder, `${source.package}_${source.version}`);
  if (existsSync(tree)) return { version: source.version, folder: tree };
  mkdirSync(folder, { recursive: true });
  const deb = await archive.download(source.package, source.version, folder);
  const unfinished = `${tree}.tmp`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished);
  try {
    await execute(host, ["bash", "-o", "pipefail", "-c", UNPACK, deb, unfinished], options);
    renameSync(unfinished, tree);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  rmSync(deb);
  return { version: source.version, folder: tree };
}

/** Unpacks the tree in the package `$0` into the folder `$1`. A package is an ar archive (deb(5)), which no dpkg need read. */
const UNPACK = `
data=$(ar t "$0" | grep '^data\\.tar')
case $data in *.xz) decompress=xz ;; *.gz) decompress=gzip ;; *.zst) decompress=zstd ;; *) decompress=cat ;; esac
[ $decompress = cat ] || decompress="$decompress -dc"
ar p "$0" "$data" | $decompress | tar -xOf - --wildcards './usr/src/linux-source-*.tar.xz' |
  xz -dc -T0 | tar -xf - --strip-components=1 -C "$1"
`;

function noSource(message: string): VfioError {
  return new VfioError(`cannot find a kernel source: ${message}`, {
    code: "ERR_LAB_NO_KERNEL_SOURCE",
    operation: "lab setup",
    subject: "linux-source",
    remedy: "give a kernel image that you built yourself with --kernel",
  });
}
