import type { VfioDevice } from "../contracts/vfio-device";
import { VfioError } from "../errors/vfio-error";
import { sleepSync } from "../waits/sleep-sync";

/** As many attempts as upstream's. Another user may hold the device's lock for a moment (a reset on the same bus). */
const ATTEMPTS = 21;
const PAUSE_MS = 10;

/** VFIO_DEVICE_RESET, repeated while the kernel says EAGAIN: 21 attempts, 10 ms apart. Blocks the thread. */
export function resetDevice(device: VfioDevice): void {
  if (!device.info.resettable) {
    throw new VfioError(
      `${device.address} cannot be reset: it has no reset method (VFIO_DEVICE_FLAGS_RESET is not set)`,
      {
        code: "ERR_NOT_SUPPORTED",
        operation: "VFIO_DEVICE_RESET",
        subject: device.address,
        remedy: "use a device with FLR or another reset method (/sys/bus/pci/devices/ADDRESS/reset_method)",
      },
    );
  }
  for (let attempt = 1; ; attempt++) {
    try {
      device.reset();
      return;
    } catch (error) {
      if (!(error instanceof VfioError) || error.code !== "EAGAIN") throw error;
      if (attempt === ATTEMPTS) throw busyError(device, error);
    }
    sleepSync(PAUSE_MS);
  }
}

function busyError(device: VfioDevice, cause: VfioError): VfioError {
  return new VfioError(`${device.address} could not be reset: the kernel said EAGAIN ${ATTEMPTS} times in a row`, {
    code: "EAGAIN",
    errno: 11,
    operation: "VFIO_DEVICE_RESET",
    subject: device.address,
    remedy:
      "another process or the kernel holds the device's lock: end other users of the device and of its bus, then retry",
    cause,
  });
}
