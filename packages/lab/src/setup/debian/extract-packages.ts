import { existsSync } from "node:fs";
import { execute } from "../../host/execute";
import type { LabHost } from "../../host/host";
import { acquireSettings, type AptWorkspace } from "./apt-workspace";
import type { DebianSuites } from "./debian-mirror";

export interface ExtractOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onLine?: (line: string) => void;
  readonly logFile: string;
}

/** Unpacks the packages and what they depend on into a new folder, for any architecture. It runs none of their scripts. */
export async function extractPackages(
  host: LabHost,
  folder: string,
  packages: readonly string[],
  architecture: string,
  apt: Pick<AptWorkspace, "sources" | "preferences"> & { readonly suites: DebianSuites },
  options: ExtractOptions,
): Promise<void> {
  const aptOptions = [
    'APT::Install-Recommends "false";',
    // As in the workspace. The user _apt might not read the lab's key ring, in a folder of root's.
    'APT::Sandbox::User "root";',
    `Dir::Etc::Preferences "${apt.preferences}";`,
    ...(await acquireSettings(host)),
    // The credentials of mirrors that ask for them.
    ...(existsSync("/etc/apt/auth.conf.d") ? ['Dir::Etc::netrcparts "/etc/apt/auth.conf.d";'] : []),
  ];
  await execute(
    host,
    [
      "mmdebstrap",
      "--mode=chrootless",
      "--variant=extract",
      `--architectures=${architecture}`,
      `--include=${packages.join(",")}`,
      ...aptOptions.map((option) => `--aptopt=${option.replace(/;$/, "")}`),
      ...["doc", "man", "locale", "info"].map((unwanted) => `--dpkgopt=path-exclude=/usr/share/${unwanted}/*`),
      apt.suites.stable,
      folder,
      apt.sources,
    ],
    { ...options, remedy: "run `lab setup` again: it goes on where it stopped" },
  );
}
