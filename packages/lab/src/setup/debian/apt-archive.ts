import { readdirSync } from "node:fs";
import { join } from "node:path";
import { execute, type ExecuteOptions } from "../../host/execute";
import type { LabHost } from "../../host/host";
import type { AptWorkspace } from "./apt-workspace";
import type { DebianArchive } from "./debian-archive";

/** The archive through apt, which checks signatures and digests, and goes on with a partial download. */
export function aptArchive(
  host: LabHost,
  apt: Pick<AptWorkspace, "env">,
  options: Pick<ExecuteOptions, "signal" | "onLine">,
): DebianArchive {
  const run = async (command: readonly string[], cwd?: string): Promise<string> =>
    execute(host, command, { env: apt.env, ...options, ...(cwd === undefined ? {} : { cwd }) });
  return {
    newest: async (name) => {
      const policy = await run(["apt-cache", "policy", name]);
      const version = /Candidate: (\S+)/.exec(policy)?.[1];
      if (version === undefined || version === "(none)") return undefined;
      const depends = await run(["apt-cache", "depends", name]);
      return { version, depends: [...depends.matchAll(/Depends: (\S+)/g)].map(([, other = ""]) => other) };
    },
    download: async (name, version, folder) => {
      await run(["apt-get", "download", `${name}=${version}`], folder);
      const file = readdirSync(folder).find((entry) => entry.startsWith(`${name}_`) && entry.endsWith(".deb"));
      return join(folder, file ?? `${name}.deb`);
    },
  };
}
