import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import {
  backportsPreferences,
  type DebianMirror,
  type DebianSuites,
  MIRROR_REMEDY,
  mirrorSources,
} from "./debian-mirror";

/**
 * A private apt, with the lab's suites, and its package lists and downloads in a folder of the cache. It installs
 * nothing, needs no root, leaves the system's apt as it is, and keeps the system's proxy and credentials settings.
 */
export interface AptWorkspace {
  readonly folder: string;
  readonly sources: string;
  readonly preferences: string;
  readonly env: NodeJS.ProcessEnv;
  /** The mirror that serves the suites. */
  readonly mirror: DebianMirror;
}

/** Makes the workspace from the first mirror that serves the suites. */
export async function openAptWorkspace(
  host: LabHost,
  folder: string,
  mirrors: readonly DebianMirror[],
  suites: DebianSuites,
  options: { signal?: AbortSignal | undefined; onLine?: (line: string) => void } = {},
): Promise<AptWorkspace> {
  const workspace = {
    folder,
    sources: join(folder, "lab.sources"),
    preferences: join(folder, "preferences"),
    env: { APT_CONFIG: join(folder, "apt.conf") },
  };
  for (const part of ["lists/partial", "archives/partial", "sources.d"]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  writeFileSync(join(folder, "status"), "");
  writeFileSync(workspace.preferences, backportsPreferences(suites));
  writeFileSync(workspace.env.APT_CONFIG, aptConfiguration(folder));
  let failure: unknown;
  for (const mirror of mirrors) {
    writeFileSync(workspace.sources, mirrorSources(mirror, suites));
    // apt recognises deb822 sources by their suffix, and only in a folder.
    writeFileSync(join(folder, "sources.d", "lab.sources"), mirrorSources(mirror, suites));
    try {
      await execute(host, ["apt-get", "update", "--error-on=any"], { env: workspace.env, ...options });
      return { ...workspace, mirror };
    } catch (error) {
      options.signal?.throwIfAborted();
      failure = error;
    }
  }
  throw new VfioError(
    `no mirror serves ${suites.stable} and ${suites.backports} (tried ${mirrors.map(({ uri }) => uri).join(", ")})` +
      (failure instanceof Error ? `\n${failure.message}` : ""),
    {
      code: "ERR_LAB_NO_MIRROR",
      operation: "apt-get update",
      subject: mirrors[0]?.uri ?? "",
      remedy: MIRROR_REMEDY,
      cause: failure,
    },
  );
}

function aptConfiguration(folder: string): string {
  const settings: Record<string, string> = {
    "APT::Architecture": "amd64",
    "APT::Architectures": "amd64",
    "APT::Install-Recommends": "false",
    // Package indexes only: no translations, no application catalogues.
    "Acquire::Languages": "none",
    "Dir::State": `${folder}/`,
    "Dir::State::lists": `${folder}/lists/`,
    "Dir::State::status": `${folder}/status`,
    "Dir::Cache": `${folder}/`,
    "Dir::Cache::archives": `${folder}/archives/`,
    "Dir::Etc::sourcelist": "/dev/null",
    "Dir::Etc::sourceparts": `${folder}/sources.d/`,
    "Dir::Etc::preferences": `${folder}/preferences`,
    "Dir::Etc::preferencesparts": "/dev/null",
    // The folder is the user's own. Without this setting, root's apt tries to download as the user _apt, and warns.
    "APT::Sandbox::User": "root",
    "Debug::NoLocking": "true",
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} "${value}";\n`)
    .join("");
}

/** apt's download settings (proxy, time limits, …) as the system has them, one configuration line each. */
export async function acquireSettings(host: LabHost): Promise<string[]> {
  const dump = await execute(host, ["apt-config", "dump", "Acquire"]);
  return dump.split("\n").filter((line) => /^Acquire::.*"[^"]+";$/.test(line));
}
