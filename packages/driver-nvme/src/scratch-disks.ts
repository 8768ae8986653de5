import { argumentError } from "@vfio-selftests/core/errors";

/** The variable that names the disks which the driver may write to. */
export const SCRATCH_VARIABLE = "VFIO_SELFTESTS_NVME_SCRATCH";

/** 0xffffffff stands for all namespaces. */
const LAST_NAMESPACE = 0xffff_fffe;

/** A disk that the driver may write to. */
export interface ScratchDisk {
  /** The controller's serial number, as Identify and the kernel's `/sys/class/nvme/nvme0/serial` tell it. */
  readonly serial: string;
  /** The namespace, 1 to 0xfffffffe. Default: the first active one. */
  readonly namespace?: number;
}

/** Throws for a disk that names none or several: an empty serial number is that of every disk without one. */
export function checkScratchDisks(disks: readonly ScratchDisk[]): void {
  for (const { serial, namespace = 1 } of disks) {
    if (serial === "" || serial !== serial.trim()) {
      throw argumentError("nvmeDriverFor", "serial", serial, "a serial number without spaces around it");
    }
    if (!Number.isInteger(namespace) || namespace < 1 || namespace > LAST_NAMESPACE) {
      throw argumentError("nvmeDriverFor", "namespace", namespace, `1 to ${LAST_NAMESPACE}`);
    }
  }
}

/** Reads `SERIAL` or `SERIAL/NAMESPACE`, several with commas between. */
export function parseScratchDisks(text: string | undefined): readonly ScratchDisk[] {
  if (text === undefined) return [];
  return text
    .split(",")
    .map((disk) => disk.trim())
    .filter((disk) => disk !== "")
    .map(parseDisk);
}

function parseDisk(text: string): ScratchDisk {
  const [, serial, namespace] = /^([\x21-\x2b\x2d\x2e\x30-\x7e]{1,20})(?:\/([1-9]\d{0,8}))?$/.exec(text) ?? [];
  if (serial === undefined) {
    throw argumentError("nvme", SCRATCH_VARIABLE, text, "SERIAL or SERIAL/NAMESPACE, several with commas between");
  }
  return namespace === undefined ? { serial } : { serial, namespace: Number(namespace) };
}
