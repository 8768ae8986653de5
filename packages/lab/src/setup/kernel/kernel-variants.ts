import { readFileSync } from "node:fs";
import { join } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";

/** A way to build the kernel that finds a kind of bug. A kernel may combine several. */
export interface KernelVariant {
  /** Its name for `--with`. */
  readonly name: string;
  /** The fragment's file in `kernel/with`, fit for the kernel's `merge_config.sh`. */
  readonly fragment: string;
  /** The option without which the kernel is not what the name says. */
  readonly option: `CONFIG_${string}`;
  /** What kind of bug it finds, for people. */
  readonly finds: string;
  /** What it costs, for people. */
  readonly costs: string;
  /** What the kernel needs on its command line for this variant. */
  readonly parameters?: readonly string[];
  /** What make needs on its command line, beside the options. */
  readonly makeVariables?: readonly string[];
  /** What make builds for it beside the image. */
  readonly makeTargets?: readonly string[];
  /** How many times longer a boot and a test may take. Default 1. */
  readonly slowdown?: number;
}

/** The folders and files of the kernel's source whose coverage is measured. */
export const COVERED_SOURCES = ["drivers/vfio", "drivers/iommu", "virt/kvm/eventfd.c"] as const;

/**
 * Make expands `$@` for each object where the kernel's scripts/Makefile.lib asks for `GCOV_PROFILE`. So make compiles
 * these folders for coverage without a change to their Makefiles. An object of virt/kvm is named from arch/x86/kvm.
 */
const GCOV_PROFILE = `GCOV_PROFILE=$(if $(filter ${COVERED_SOURCES.map(objectPattern).join(" ")},$@),y)`;

function objectPattern(source: string): string {
  return source.endsWith(".c") ? `%/${source.replace(/\.c$/, ".o")}` : `${source}/%`;
}

/** Kinds of kernels that find bugs, as `lab setup --with` builds them. */
export const KERNEL_VARIANTS: readonly KernelVariant[] = [
  {
    name: "kasan",
    fragment: "kasan.config",
    option: "CONFIG_KASAN",
    finds: "use after free, out of bounds, double free",
    costs: "an eighth of the memory",
    // KASAN goes on after its first report, so that each test gets the blame for its own.
    parameters: ["kasan_multi_shot"],
    slowdown: 3,
  },
  {
    name: "ubsan",
    fragment: "ubsan.config",
    option: "CONFIG_UBSAN",
    finds: "index out of bounds, shift too far, a bool or enum out of range",
    costs: "little",
  },
  {
    name: "lockdep",
    fragment: "lockdep.config",
    option: "CONFIG_PROVE_LOCKING",
    finds: "wrong lock order, RCU without its lock, sleep in atomic context",
    costs: "a check at each lock",
    slowdown: 2,
  },
  {
    name: "kmemleak",
    fragment: "kmemleak.config",
    option: "CONFIG_DEBUG_KMEMLEAK",
    finds: "memory that nothing points to any more",
    costs: "a record of each allocation",
    slowdown: 2,
  },
  {
    name: "debug-iommu",
    fragment: "debug-iommu.config",
    option: "CONFIG_IOMMU_DEBUG_PAGEALLOC",
    finds: "pages freed while an IOMMU maps them, misuse of the DMA API",
    costs: "a check of each mapped page",
    parameters: ["iommu.debug_pagealloc=1"],
    slowdown: 2,
  },
  {
    name: "fault-injection",
    fragment: "fault-injection.config",
    option: "CONFIG_FAULT_INJECTION",
    finds: "errors that are not handled: the n-th allocation fails on demand",
    costs: "little until it is used",
  },
  {
    name: "debug-checks",
    fragment: "debug-checks.config",
    option: "CONFIG_DEBUG_LIST",
    finds: "corrupted lists and objects, hung tasks, stuck CPUs",
    costs: "little",
  },
  {
    name: "gcov",
    fragment: "gcov.config",
    option: "CONFIG_GCOV_KERNEL",
    finds: `lines that no test reaches, in ${COVERED_SOURCES.join(", ")}`,
    costs: "a tenth of the time",
    makeVariables: [GCOV_PROFILE],
  },
  {
    name: "kcov",
    fragment: "kcov.config",
    option: "CONFIG_KCOV",
    finds: "for fuzzers: what a system call reached",
    costs: "a call at each branch of the whole kernel",
    slowdown: 2,
  },
  {
    name: "lkdtm",
    fragment: "lkdtm.config",
    option: "CONFIG_LKDTM",
    finds: "nothing: makes faults, to test what watches the kernel",
    costs: "little",
  },
  {
    name: "debug-info",
    fragment: "debug-info.config",
    option: "CONFIG_DEBUG_INFO",
    finds: "for `lab gdb`: lines, types and variables",
    costs: "3 GB of disk",
    parameters: ["nokaslr"],
    // gdb's lx-dmesg, lx-ps, …: vmlinux-gdb.py beside vmlinux, which belongs to the kernel's `make all` but not to its image.
    makeTargets: ["scripts_gdb"],
  },
];

/** The variants of these names, each once, in the table's order, so that the order of the names makes no new kernel. */
export function kernelVariants(names: readonly string[]): KernelVariant[] {
  for (const name of names) {
    if (KERNEL_VARIANTS.some((variant) => variant.name === name)) continue;
    throw argumentError("lab", "with", name, KERNEL_VARIANTS.map((variant) => variant.name).join(", "));
  }
  return KERNEL_VARIANTS.filter(({ name }) => names.includes(name));
}

/** The text of the variant's fragment, comments included. */
export function variantFragment({ fragment }: KernelVariant): string {
  return readFileSync(join(__dirname, "../../../kernel/with", fragment), "utf8");
}
