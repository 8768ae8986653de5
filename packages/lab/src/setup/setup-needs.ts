import { DEFAULT_ARCHITECTURE } from "../architecture/architecture";
import { howToInstall, installCommandHere, usesApt } from "../distribution/distribution";
import { findProgram } from "../host/find-program";
import type { LabHost } from "../host/host";
import { findVirtiofsd } from "../machine/qemu";
import { chosenMirrors } from "./debian/debian-mirror";
import {
  archiveRequirements,
  kernelBuildRequirements,
  missingPackages,
  QEMU_ROOT_REQUIREMENTS,
} from "./required-packages";

/** What a first set-up would ask for, as far as the files of the system tell it. */
export interface SetupNeeds {
  /** The programs of QEMU that the system lacks. */
  readonly qemu: readonly string[];
  /** Whether the set-up makes a QEMU where the system's does not serve. */
  readonly makesQemu: boolean;
  /** The command that installs what is missing. Undefined: nothing is, or nobody knows the command. */
  readonly install: string | undefined;
  /** The same in words. Undefined: nothing is missing. */
  readonly howToInstall: string | undefined;
}

/** Looks at the system without running anything, so it does not know QEMU's version. */
export function setupNeeds(host: LabHost): SetupNeeds {
  const { program, package: name } = DEFAULT_ARCHITECTURE.qemu;
  const makesQemu = usesApt(host);
  const parts = [
    { program, package: name, isHere: findProgram(host, program) !== undefined },
    { program: "virtiofsd", package: "virtiofsd", isHere: findVirtiofsd(host).length > 0 },
  ].filter(({ isHere }) => !isHere);
  const requirements = [
    ...(makesQemu && parts.length > 0 ? QEMU_ROOT_REQUIREMENTS : []),
    ...kernelBuildRequirements(DEFAULT_ARCHITECTURE),
    ...archiveRequirements(host, chosenMirrors(host)),
  ];
  const packages = [...(makesQemu ? [] : parts.map((part) => part.package)), ...missingPackages(host, requirements)];
  return {
    qemu: parts.map((part) => part.program),
    makesQemu,
    install: packages.length === 0 ? undefined : installCommandHere(host, packages),
    howToInstall: packages.length === 0 ? undefined : howToInstall(host, packages),
  };
}
