import { readFileSync } from "node:fs";
import { join } from "node:path";
import { existsPath, linkName, listDirectory, readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";

/** What stands between this process and the machine. */
export interface Confinement {
  /** The container's kind: `docker`, `podman`, …; undefined outside. */
  readonly container: string | undefined;
  /** `none`, `integrity` or `confidentiality`; undefined where nothing tells. */
  readonly lockdown: string | undefined;
  /** Undefined where the machine has no UEFI, or this process does not see its variables. */
  readonly secureBoot: boolean | undefined;
  /** The kernel refuses modules without a signature. */
  readonly signedModulesOnly: boolean;
  /** A security module that enforces its rules on this process, and the process's domain or profile. */
  readonly security: { readonly module: "SELinux" | "AppArmor"; readonly domain: string } | undefined;
}

/** Files in a container's root that its engine makes. */
const CONTAINER_MARKS: Readonly<Record<string, string>> = {
  ".dockerenv": "docker",
  "run/.containerenv": "podman",
};

/** SELinux's domains that may use VFIO as an unconfined process may. */
const FREE_DOMAINS: ReadonlySet<string> = new Set(["unconfined_t", "spc_t", "kernel_t", "init_t", "sysadm_t"]);

export function readConfinement(paths: SystemPaths): Confinement {
  return {
    container: containerKind(paths),
    lockdown: /\[(none|integrity|confidentiality)\]/.exec(
      readAttribute(paths.sys("kernel", "security", "lockdown")) ?? "",
    )?.[1],
    secureBoot: secureBoot(paths),
    signedModulesOnly: readAttribute(paths.sys("module", "module", "parameters", "sig_enforce")) === "Y",
    security: securityModule(paths),
  };
}

/** The first PID namespace's number (PROC_PID_INIT_INO, include/linux/proc_ns.h), as /proc/PID/ns shows it. */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

/** systemd and the engines leave the kind in files. A VM whose root was made from an engine's image has the mark, too. */
function containerKind(paths: SystemPaths): string | undefined {
  const told = readAttribute(join(paths.root, "run/systemd/container"));
  if (told !== undefined && told !== "") return told;
  if (linkName(paths.proc("self", "ns", "pid")) === FIRST_PID_NAMESPACE) return undefined;
  return Object.entries(CONTAINER_MARKS).find(([file]) => existsPath(join(paths.root, file)))?.[1];
}

/** The variable SecureBoot-GUID: four bytes of attributes, then the value (UEFI, section 3.3). */
function secureBoot(paths: SystemPaths): boolean | undefined {
  const folder = paths.sys("firmware", "efi", "efivars");
  const name = listDirectory(folder).find((variable) => variable.startsWith("SecureBoot-"));
  if (name === undefined) return undefined;
  try {
    return readFileSync(join(folder, name)).at(4) === 1;
  } catch {
    return undefined;
  }
}

function securityModule(paths: SystemPaths): Confinement["security"] {
  const context = readAttribute(paths.proc("self", "attr", "current"))?.replace(/\0$/, "");
  if (readAttribute(paths.sys("fs", "selinux", "enforce")) === "1") {
    const domain = context?.split(":")[2];
    return domain === undefined || FREE_DOMAINS.has(domain) ? undefined : { module: "SELinux", domain };
  }
  if (readAttribute(paths.sys("module", "apparmor", "parameters", "enabled")) === "Y") {
    const profile = readAttribute(paths.proc("self", "attr", "apparmor", "current"))?.replace(/\0$/, "") ?? context;
    const [, domain] = /^(\S+) \(enforce\)$/.exec(profile ?? "") ?? [];
    return domain === undefined ? undefined : { module: "AppArmor", domain };
  }
  return undefined;
}
