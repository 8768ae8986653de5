import { Errno } from "../errors/errno";
import { VfioError } from "../errors/vfio-error";

/**
 * The error when VFIO_DEVICE_SET_IRQS gives a positive number. So many vectors are possible, fewer than asked for, and
 * the kernel has enabled none (vfio_msi_enable in drivers/vfio/pci/vfio_pci_intrs.c).
 */
export function tooFewVectors(address: string, index: number, asked: number, possible: number): VfioError {
  const subject = `${address}, interrupt index ${index}`;
  return new VfioError(`VFIO_DEVICE_SET_IRQS: ${subject} can have ${possible} of the ${asked} vectors asked for`, {
    code: "ENOSPC",
    errno: Errno.ENOSPC,
    operation: "VFIO_DEVICE_SET_IRQS",
    subject,
    remedy: `enable at most ${possible}, or free vectors and interrupt-remapping entries that other devices hold`,
  });
}
