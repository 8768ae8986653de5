import { type InterruptKind, VfioError } from "@vfio-selftests/core";
import { readAttribute, type SystemPaths, systemPaths } from "@vfio-selftests/core/sysfs";
import { GuardedValue } from "@vfio-selftests/harness";

/** The host's number for a vector of a VFIO device, found by its name: `vfio-msix[0](0000:01:00.0)`. Throws ENOENT. */
export function findHostIrq(
  address: string,
  kind: InterruptKind,
  vector: number,
  paths: SystemPaths = systemPaths,
): number {
  const name = `vfio-${kind}[${vector}](${address})`;
  const irq = Number.parseInt(lines(paths).find((line) => line.endsWith(name)) ?? "", 10);
  if (Number.isNaN(irq)) {
    throw new VfioError(`${paths.proc("interrupts")} has no ${name}`, {
      code: "ENOENT",
      operation: "find the host's interrupt",
      subject: address,
      remedy: "enable the vector first, and use the /proc of the kernel that has the device",
    });
  }
  return irq;
}

/** How often each CPU has taken a host interrupt; empty where there is no such interrupt. */
export function hostIrqCounts(irq: number, paths: SystemPaths = systemPaths): number[] {
  const [header = "", ...rows] = lines(paths);
  const cpus = header.trim().split(/\s+/).length;
  const row = rows.find((line) => Number.parseInt(line, 10) === irq) ?? "";
  return row
    .trim()
    .split(/\s+/)
    .slice(1, cpus + 1)
    .map(Number);
}

function lines(paths: SystemPaths): string[] {
  return (readAttribute(paths.proc("interrupts")) ?? "").split("\n");
}

/** CPUs that interrupts can go to. */
export function onlineCpus(paths: SystemPaths = systemPaths): number[] {
  return parseCpuList(readAttribute(paths.sys("devices", "system", "cpu", "online")) ?? "0");
}

/** Reads `0-2,5`. */
export function parseCpuList(list: string): number[] {
  return list.split(",").flatMap((part) => {
    const [first = NaN, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** Chooses the CPU that takes a host interrupt. Puts the former choice back when it ends. */
export class HostIrqAffinity implements Disposable {
  readonly #value: GuardedValue;

  constructor(irq: number, paths: SystemPaths = systemPaths) {
    this.#value = new GuardedValue(paths.proc("irq", String(irq), "smp_affinity_list"), paths);
  }

  moveTo(cpu: number): void {
    this.#value.set(cpu);
  }

  [Symbol.dispose](): void {
    this.#value[Symbol.dispose]();
  }
}
