/** How a process tells its jest run what to test; lists are separated by spaces or commas. */
export const TARGET_VARIABLES = {
  /** Addresses: `0000:6a:01.0`, `vfio-user:PATH`, `model:NAME`. */
  devices: "VFIO_SELFTESTS_BDF",
  /** Names of modes; default: all. */
  modes: "VFIO_SELFTESTS_MODE",
  /** Names, packages or paths of drivers, which then are the only ones. */
  drivers: "VFIO_SELFTESTS_DRIVER",
  /** Set: copies as large as upstream's, on models, too. */
  full: "VFIO_SELFTESTS_FULL",
  /** One run of the KVM interrupt test, by upstream's options: `-e -i 5000 -v 4`. */
  kvmIrq: "VFIO_SELFTESTS_KVM_IRQ",
  /** Set inside the lab's VM. */
  lab: "VFIO_SELFTESTS_LAB",
} as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** The values of a variable that holds a list. */
export function targetList(environment: Environment, name: keyof typeof TARGET_VARIABLES): string[] {
  return (environment[TARGET_VARIABLES[name]] ?? "").split(/[\s,]+/).filter((part) => part !== "");
}
