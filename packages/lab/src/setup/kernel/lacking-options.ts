import { configVersion, type LostOption, lostOptions } from "./kernel-config";
import { isOfVersion, type KernelFragment } from "./kernel-fragment";

/** What a kernel's configuration lacks of a fragment. */
export interface LackingOptions {
  /** Options without which there is no lab, and which its version has. */
  readonly required: readonly LostOption[];
  /** Options that tests and people want. The kernel's version may not have all of them. */
  readonly wanted: readonly LostOption[];
}

/** The guest reads its modules through these, so they are built in. */
const BEFORE_MODULES = [
  "CONFIG_VIRTIO",
  "CONFIG_VIRTIO_PCI",
  "CONFIG_FUSE_FS",
  "CONFIG_VIRTIO_FS",
  "CONFIG_OVERLAY_FS",
  "CONFIG_PCI_HOST_GENERIC",
  "CONFIG_ARM_SMMU_V3",
];

export function lackingOptions({ required, wanted }: Omit<KernelFragment, "key">, config: string): LackingOptions {
  const version = configVersion(config);
  const isOfThisVersion = (option: LostOption): boolean => version === undefined || isOfVersion(option, version);
  return {
    required: lostOptions(required, config).filter(isOfThisVersion),
    wanted: lostOptions(wanted, config).filter(isLess),
  };
}

/** The lab's kernel goes without some options only to be small. A larger number than what is wanted serves as well. */
function isLess({ value, actual }: LostOption): boolean {
  if (value === "n") return false;
  return Number.isNaN(Number(value)) || !(Number(actual) >= Number(value));
}

/** Whether the kernel has it as a module that the guest can load. */
export function isLoadable(option: LostOption): boolean {
  return isModule(option) && !BEFORE_MODULES.includes(option.name);
}

export function isModule({ value, actual }: LostOption): boolean {
  return value === "y" && actual === "m";
}

/** The options as lines for the kernel's `merge_config.sh`. */
export function optionLines(options: readonly LostOption[]): string {
  return options.map(({ name, value }) => `${name}=${value}\n`).join("");
}

/** All that is lacking, as a fragment for `merge_config.sh`. Empty where nothing is. */
export function lackingText({ required, wanted }: LackingOptions): string {
  const builtIn = (option: LostOption): boolean => !isLoadable(option);
  const parts = [
    { title: "Needed:", options: required.filter(builtIn) },
    { title: "Wanted by tests and people:", options: wanted.filter(builtIn) },
    { title: "Modules now, which may stay so with --modules:", options: [...required, ...wanted].filter(isLoadable) },
  ];
  return parts
    .filter(({ options }) => options.length > 0)
    .map(({ title, options }) => `# --- ${title}\n${optionLines(options)}`)
    .join("\n");
}
