import { readFileSync } from "node:fs";
import { listDirectory, systemPaths } from "@vfio-selftests/core/sysfs";

/** A line of /proc/interrupts. */
export interface KernelInterrupt {
  readonly irq: number;
  /** How often the interrupt came, over all CPUs. */
  readonly count: number;
  /** As vfio-pci names it: `vfio-msix[3]`. */
  readonly name: string;
}

/** The interrupts that vfio-pci holds for the device, in the order of their numbers. */
export function vfioInterrupts(address: string): KernelInterrupt[] {
  const [header = "", ...lines] = readFileSync(systemPaths.proc("interrupts"), "utf8").split("\n");
  const cpus = header.trim().split(/\s+/).length;
  return lines.flatMap((line) => {
    const names = line.split(/\s{2,}|,\s/).filter((part) => part.endsWith(`(${address})`));
    const [irq = "", ...rest] = line.trim().split(/:?\s+/);
    const count = rest.slice(0, cpus).reduce((sum, text) => sum + Number(text), 0);
    return names.map((name) => ({ irq: Number(irq), count, name: name.slice(0, -address.length - 2).trim() }));
  });
}

/** Linux's numbers of the device's MSI or MSI-X vectors; none while neither is enabled. */
export function messageIrqs(address: string): number[] {
  return listDirectory(systemPaths.pciDevice(address, "msi_irqs"))
    .map(Number)
    .sort((a, b) => a - b);
}
