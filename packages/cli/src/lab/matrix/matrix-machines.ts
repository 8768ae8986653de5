import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { argumentError } from "@vfio-selftests/core/errors";
import {
  DEFAULT_ARCHITECTURE,
  describeMachine,
  hasBuiltImage,
  LAB_ARCHITECTURES,
  LAB_DEFAULTS,
} from "@vfio-selftests/lab";
import { chosenBuild, type KernelOptions } from "../kernel-choice";
import { machineName } from "../machine-name";
import type { MachineOptions } from "../options";
import type { MatrixOptions } from "./options";

/** One machine of the matrix. */
export interface MatrixMachine {
  /** `igb+intel`, `edu+amd+bzImage`: distinguishes it, also as a file's name. */
  readonly name: string;
  readonly options: Pick<MachineOptions, "arch" | "devices" | "iommu"> & KernelOptions;
}

/** The lab's own kernel, beside images and trees. */
const LAB_KERNEL = "lab";
const MODEL = /^model:/;

/**
 * Every device with every IOMMU on every kernel. Equal kernels stand together, then equal devices.
 *
 * @throws VfioError `ERR_INVALID_ARGUMENT`, `ERR_LAB_NO_IMAGE`, `ERR_LAB_KERNEL_CONFIG`: a word that fits no machine at all. What a machine takes
 *   only alone shows when it runs.
 */
export function matrixMachines({ devices, iommus, kernels, anyConfig }: MatrixOptions): readonly MatrixMachine[] {
  const deviceLists = (devices ?? [LAB_DEFAULTS.devices.join(",")]).map(requireDevices);
  const platforms = (iommus ?? [DEFAULT_ARCHITECTURE.iommus[0].name]).map(platformOf);
  const kernelChoices = (kernels ?? [LAB_KERNEL]).map((word) => requireKernel(word, anyConfig === true));
  const machines = kernelChoices.flatMap(({ label, options }) =>
    deviceLists.flatMap((own) =>
      platforms.map((platform): MatrixMachine => {
        const name = [machineName({ devices: own, ...platform }), ...label].join("+").replace(/[^\w+:*.,-]+/g, "-");
        return { name, options: { devices: own, ...platform, ...options } };
      }),
    ),
  );
  requireDistinct(machines);
  return machines;
}

/** The IOMMU, and the CPU that has it where that is not the lab's usual one. */
function platformOf(iommu: string): Pick<MachineOptions, "arch" | "iommu"> {
  const has = LAB_ARCHITECTURES.find(({ iommus }) => iommus.some(({ name }) => name === iommu));
  const arch = has === undefined || has === DEFAULT_ARCHITECTURE ? {} : { arch: has.name };
  describeMachine({ ...arch, iommu });
  return { ...arch, iommu };
}

function requireDevices(word: string): readonly string[] {
  const devices = word.split(",").filter((name) => name !== "");
  if (devices.length === 0) throw argumentError("lab matrix", "device", word, "the devices of a machine");
  // A model has a socket only while it runs.
  const real = devices.filter((name) => !MODEL.test(name));
  if (real.length > 0) describeMachine({ devices: real });
  return devices;
}

interface KernelChoice {
  /** Its part of the machine's name. Empty for the lab's own. */
  readonly label: readonly string[];
  readonly options: KernelOptions;
}

function requireKernel(word: string, anyConfig: boolean): KernelChoice {
  if (word === LAB_KERNEL) return { label: [], options: {} };
  const options = isUnbuiltTree(word) ? { source: word } : { kernel: word };
  if (options.source === undefined) describeMachine({ ...options, anyConfig });
  else chosenBuild(options);
  return { label: [basename(resolve(word))], options };
}

/** A kernel tree without an image of its own: the lab builds elsewhere. */
function isUnbuiltTree(word: string): boolean {
  return existsSync(join(word, "Kconfig")) && !hasBuiltImage(word, DEFAULT_ARCHITECTURE.kernel);
}

/** Two machines of one name would write one report. */
function requireDistinct(machines: readonly MatrixMachine[]): void {
  const names = machines.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return;
  const remedy = "each device, IOMMU and kernel once, and kernels whose files have different names";
  throw argumentError("lab matrix", "machine", twice, remedy);
}
