/** How a family of distributions calls and installs packages. */
export interface PackageManager {
  readonly program: string;
  /** `ID` or `ID_LIKE` of os-release(5). */
  readonly distributions: readonly string[];
  /** The command line before the packages. */
  readonly install: string;
  /** Whether installing takes root. */
  readonly takesRoot: boolean;
  /** Its names of packages whose names differ from Debian's. */
  readonly names: Readonly<Record<string, string>>;
}

export const PACKAGE_MANAGERS: readonly PackageManager[] = [
  {
    program: "apt-get",
    distributions: ["debian", "ubuntu"],
    install: "apt-get install --no-install-recommends",
    takesRoot: true,
    names: {},
  },
  {
    program: "dnf",
    distributions: ["fedora", "rhel", "centos"],
    install: "dnf install",
    takesRoot: true,
    names: {
      "qemu-system-x86": "qemu-system-x86-core",
      "qemu-system-arm": "qemu-system-aarch64-core",
      // A path names the package of every release: gpgv moved from one into another.
      gpgv: "/usr/bin/gpgv",
      "libelf-dev": "elfutils-libelf-devel",
      "xz-utils": "xz",
    },
  },
  {
    program: "pacman",
    distributions: ["arch"],
    install: "pacman -S --needed",
    takesRoot: true,
    names: { "qemu-system-arm": "qemu-system-aarch64", gpgv: "gnupg", "libelf-dev": "libelf", "xz-utils": "xz" },
  },
  {
    program: "nix-shell",
    distributions: ["nixos"],
    install: "nix-shell -p",
    takesRoot: false,
    names: {
      "qemu-system-x86": "qemu",
      "qemu-system-arm": "qemu",
      gpgv: "gnupg",
      "libelf-dev": "elfutils",
      make: "gnumake",
      tar: "gnutar",
      "xz-utils": "xz",
    },
  },
];

/** The command that installs packages, which it takes by Debian's names. */
export function installCommand(manager: PackageManager, packages: readonly string[], isRoot: boolean): string {
  const names = [...new Set(packages.map((name) => manager.names[name] ?? name))];
  return `${manager.takesRoot && !isRoot ? "sudo " : ""}${manager.install} ${names.join(" ")}`;
}
