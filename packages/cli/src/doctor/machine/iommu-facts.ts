import { listDirectory, readAttribute, type SystemPaths } from "@vfio-selftests/core/sysfs";
import { VFIO_MODULES } from "./kernel-modules";

export interface IommuFacts {
  readonly groups: number;
  readonly cpu: "intel" | "amd" | "other";
  /** The kernel runs in a VM. */
  readonly virtual: boolean;
  /** The firmware's table of an IOMMU. Null: there is none. Undefined: this process sees no tables. */
  readonly firmwareTable: string | null | undefined;
  /** Bits of an I/O virtual address, where the driver tells: Intel's, in sysfs. */
  readonly addressBits: number | undefined;
  /** Bits of a physical address of the CPU. */
  readonly physicalBits: number | undefined;
  /** Undefined where the architecture has no such thing, or nothing tells. */
  readonly interruptRemapping: boolean | undefined;
  /** Loaded modules with the parameter allow_unsafe_interrupts, and whether it is set. */
  readonly unsafeInterrupts: Readonly<Record<string, boolean>>;
}

/** ACPI tables: Intel, AMD, Arm, virtio. */
const TABLES = ["DMAR", "IVRS", "IORT", "VIOT"] as const;

export function readIommuFacts(paths: SystemPaths): IommuFacts {
  const cpu = readAttribute(paths.proc("cpuinfo")) ?? "";
  const tables = listDirectory(paths.sys("firmware", "acpi", "tables"));
  const physical = /^address sizes\s*:\s*(\d+) bits physical/m.exec(cpu)?.[1];
  return {
    groups: listDirectory(paths.sys("kernel", "iommu_groups")).length,
    cpu: cpu.includes("GenuineIntel") ? "intel" : cpu.includes("AuthenticAMD") ? "amd" : "other",
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(cpu),
    firmwareTable: tables.length === 0 ? undefined : (TABLES.find((table) => tables.includes(table)) ?? null),
    addressBits: intelAddressBits(paths),
    physicalBits: physical === undefined ? undefined : Number(physical),
    interruptRemapping: interruptRemapping(cpu, paths),
    unsafeInterrupts: Object.fromEntries(
      VFIO_MODULES.flatMap((module) => {
        const text = readAttribute(paths.sys("module", module, "parameters", "allow_unsafe_interrupts"));
        return text === undefined ? [] : [[module, text === "Y"]];
      }),
    ),
  };
}

/** The least MGAW of all units: bits 21:16 of the capability register, plus one (VT-d, section 11.4.2). */
function intelAddressBits(paths: SystemPaths): number | undefined {
  const units = listDirectory(paths.sys("class", "iommu")).flatMap((unit) => {
    const text = readAttribute(paths.sys("class", "iommu", unit, "intel-iommu", "cap"));
    return text !== undefined && /^[0-9a-f]+$/.test(text) ? [Number((BigInt(`0x${text}`) >> 16n) & 0x3fn) + 1] : [];
  });
  return units.length === 0 ? undefined : Math.min(...units);
}

/**
 * Interrupt chips that remap have names with the prefix `IR-` in /proc/interrupts (arch/x86/kernel/apic/io_apic.c and the
 * IOMMU drivers). Other architectures isolate interrupts in another way, or always.
 */
function interruptRemapping(cpu: string, paths: SystemPaths): boolean | undefined {
  if (!/GenuineIntel|AuthenticAMD|HygonGenuine/.test(cpu)) return undefined;
  const interrupts = readAttribute(paths.proc("interrupts")) ?? "";
  if (!/IO-APIC|PCI-MSI/.test(interrupts)) return undefined;
  return /\sIR-/.test(interrupts);
}
