import { join } from "node:path";
import { VfioError } from "@vfio-selftests/core";
import type { OwnErrorCode } from "@vfio-selftests/core/errors";
import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import type { LabArchitecture } from "../architecture/lab-architecture";
import { howToInstall, usesApt } from "../distribution/distribution";
import { execute } from "../host/execute";
import { findProgram } from "../host/find-program";
import type { LabHost } from "../host/host";
import { atLeast, parseVersion, type Version, versionText } from "../host/version";

/** QEMU and virtiofsd, as commands that run them where they are. */
export interface Qemu {
  readonly origin: "system" | "debian-root";
  readonly qemu: readonly string[];
  readonly virtiofsd: readonly string[];
  readonly version: Version;
}

/** QEMU has `igb` since 8.0. An older one serves no device set of ours. */
export const OLDEST_QEMU: Version = [8, 0];
/** QEMU has `vfio-user-pci` since 10.1, which the `auto` choice wants. */
export const COMPLETE_QEMU: Version = [10, 1];
/** `--translate-uid`, by which an ordinary user is root in the guest, came with virtiofsd 1.13. */
const OLDEST_VIRTIOFSD_UNPRIVILEGED: Version = [1, 13];
const OLDEST_VIRTIOFSD: Version = [1, 5];

/** Where virtiofsd is: in `PATH` (NixOS), or where Debian and Fedora, Arch, and Ubuntu before 22.10 put it. */
const VIRTIOFSD_PLACES = ["virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"];

/** All virtiofsd of the system. */
export function findVirtiofsd(host: LabHost): string[] {
  return VIRTIOFSD_PLACES.flatMap((place) => findProgram(host, place) ?? []);
}

/** Debian's names of the packages with QEMU and virtiofsd. */
export function qemuPackages(architecture: LabArchitecture = DEFAULT_ARCHITECTURE): string[] {
  return [architecture.qemu.package, "virtiofsd"];
}

/** Options that keep the guest from writing to the host's tree. */
const NEEDED_VIRTIOFSD_OPTIONS = ["--readonly", "--no-announce-submounts"];

/** The devices that the lab's VM needs on every architecture. */
const NEEDED_MODELS = ["vhost-user-fs-pci", "virtio-serial-pci", "virtconsole", "pcie-root-port"];

/** Describes the system's own QEMU. Rejects with the reason when it does not serve. */
export async function systemQemu(
  host: LabHost,
  least: Version,
  architecture: LabArchitecture = DEFAULT_ARCHITECTURE,
): Promise<Qemu> {
  const { program } = architecture.qemu;
  const qemu = findProgram(host, program);
  if (qemu === undefined) throw notServing(host, architecture, `${program} is not installed`, "ERR_LAB_NO_QEMU");
  const virtiofsds = findVirtiofsd(host);
  if (virtiofsds.length === 0) throw notServing(host, architecture, "virtiofsd is not installed", "ERR_LAB_NO_QEMU");
  let failure: unknown;
  for (const virtiofsd of virtiofsds) {
    try {
      return await checkQemu(host, { origin: "system", qemu: [qemu], virtiofsd: [virtiofsd] }, least, architecture);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/**
 * QEMU of a Debian root. The root's own dynamic loader runs it with the root's libraries, in the system's own file
 * tree. Without a chroot it needs no root rights and no mounts, and every path means what it means outside.
 */
export async function debianRootQemu(
  host: LabHost,
  root: string,
  architecture: LabArchitecture = DEFAULT_ARCHITECTURE,
): Promise<Qemu> {
  const libraries = join(root, "usr/lib/x86_64-linux-gnu");
  const load = [join(libraries, "ld-linux-x86-64.so.2"), "--library-path", libraries];
  return checkQemu(
    host,
    {
      origin: "debian-root",
      qemu: [
        ...load,
        join(root, "usr/bin", architecture.qemu.program),
        ...["-L", join(root, "usr/share/qemu"), "-L", join(root, "usr/share/seabios")],
      ],
      virtiofsd: [...load, join(root, "usr/libexec/virtiofsd")],
    },
    COMPLETE_QEMU,
    architecture,
  );
}

async function checkQemu(
  host: LabHost,
  found: Omit<Qemu, "version">,
  least: Version,
  architecture: LabArchitecture,
): Promise<Qemu> {
  const ask = async (command: readonly string[]): Promise<string> => execute(host, command, { timeoutMs: 20_000 });
  const [qemuText, virtiofsdText, virtiofsdHelp, devices] = await Promise.all([
    ask([...found.qemu, "--version"]),
    ask([...found.virtiofsd, "--version"]),
    ask([...found.virtiofsd, "--help"]),
    ask([...found.qemu, "-device", "help"]),
  ]);
  const version = parseVersion(qemuText, "QEMU emulator version");
  if (version === undefined)
    throw notServing(host, architecture, `${found.qemu[0] ?? ""} does not print its version`, "ERR_LAB_NO_QEMU");
  if (!atLeast(version, least)) {
    throw notServing(
      host,
      architecture,
      `QEMU ${versionText(version)} is too old: ${versionText(least)} or newer is needed`,
      "ERR_LAB_QEMU_TOO_OLD",
    );
  }
  // The old virtiofsd in C, which came with QEMU until 7.2, has QEMU's version and other options.
  const virtiofsd = parseVersion(virtiofsdText, "virtiofsd ");
  const oldest = host.uid === 0 ? OLDEST_VIRTIOFSD : OLDEST_VIRTIOFSD_UNPRIVILEGED;
  if (virtiofsd === undefined || virtiofsdText.includes("virtiofsd version") || !atLeast(virtiofsd, oldest)) {
    throw notServing(
      host,
      architecture,
      `virtiofsd is too old: ${versionText(oldest)} or newer is needed`,
      "ERR_LAB_QEMU_TOO_OLD",
    );
  }
  const lacks = NEEDED_VIRTIOFSD_OPTIONS.filter((option) => !virtiofsdHelp.includes(option));
  if (lacks.length > 0)
    throw notServing(host, architecture, `virtiofsd is too old: it lacks ${lacks.join(", ")}`, "ERR_LAB_QEMU_TOO_OLD");
  const missing = [...NEEDED_MODELS, ...architecture.qemu.models].filter((model) => !devices.includes(`"${model}"`));
  if (missing.length > 0) throw notServing(host, architecture, `QEMU lacks ${missing.join(", ")}`, "ERR_LAB_NO_QEMU");
  return { ...found, version };
}

function notServing(host: LabHost, architecture: LabArchitecture, message: string, code: OwnErrorCode): VfioError {
  const install = howToInstall(host, qemuPackages(architecture));
  return new VfioError(message, {
    code,
    operation: "lab setup",
    subject: "qemu",
    remedy: usesApt(host)
      ? `install QEMU ${versionText(COMPLETE_QEMU)} or newer and virtiofsd, or let \`lab setup\` make a Debian root (--qemu root)`
      : `install QEMU ${versionText(OLDEST_QEMU)} or newer (all tests run with ${versionText(COMPLETE_QEMU)}) and virtiofsd: ${install}`,
  });
}
