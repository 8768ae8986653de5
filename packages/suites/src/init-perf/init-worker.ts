import { parentPort } from "node:worker_threads";
import { PciDevice, type VfioDevice } from "@vfio-selftests/core";
import { systemError } from "@vfio-selftests/core/errors";
import { iommuGroupOf, systemPaths, vfioCdevPath } from "@vfio-selftests/core/sysfs";
import { O_RDWR, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU } from "@vfio-selftests/core/uapi";
import { KernelDevice, attachDevice, bindDevice, realKernel } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { GO, type InitAnswer, type InitMessage, type InitTiming, type SharedSpace } from "./init-request";

/**
 * One thread of the parallel init: opens its devices into the address space that all threads share, when the barrier
 * opens, and closes them when told. The back ends of iommu-modes own their address space, hence the ioctls here.
 */
const port = parentPort;
if (port === null) throw new Error("init-worker.js runs as a worker thread");
let devices: PciDevice[] = [];
let group: number | undefined;
const tell = (answer: InitAnswer) => port.postMessage(answer);

port.on("message", (message: InitMessage) => {
  switch (message.kind) {
    case "initialise":
      waitAtBarrier(message.barrier);
      try {
        tell({ event: "initialised", timings: message.addresses.map((address) => initialise(address, message.space)) });
      } catch (error) {
        tell({ event: "failed", message: error instanceof Error ? error.message : String(error) });
      }
      break;
    case "close":
      closeAll();
      tell({ event: "closed" });
      break;
    case "end":
      closeAll();
      port.close();
      break;
  }
});

/** The devices go first, then their group. */
function closeAll(): void {
  for (const device of devices) device.close();
  devices = [];
  if (group !== undefined) native.close(group);
  group = undefined;
}

function initialise(address: string, space: SharedSpace): InitTiming {
  const start = process.hrtime.bigint();
  const device = new PciDevice(space.kind === "iommufd" ? openByFile(address, space) : openByGroup(address, space));
  devices.push(device);
  // Upstream's init maps the BARs and asks for the interrupts, too.
  const mappings = device.bars.reduce((sum, bar) => sum + bar.mappings.length, 0);
  const vectors = device.interrupts.msi.count + device.interrupts.msix.count;
  return { address, start, end: process.hrtime.bigint(), mappings, vectors };
}

function openByFile(address: string, space: SharedSpace & { kind: "iommufd" }): VfioDevice {
  const path = vfioCdevPath(address);
  const fd = checked(native.open(path, O_RDWR), "open", path);
  const iommufdDeviceId = bindDevice(realKernel, fd, space.iommufd, address, undefined);
  attachDevice(realKernel, fd, space.ioasId, address);
  return new KernelDevice(address, fd, realKernel, { iommufdDeviceId });
}

function openByGroup(address: string, space: SharedSpace & { kind: "container" }): VfioDevice {
  if (group === undefined) {
    const path = systemPaths.dev("vfio", String(iommuGroupOf(address)));
    group = checked(native.open(path, O_RDWR), "open", path);
    const container = new Uint8Array(Int32Array.of(space.container).buffer);
    checked(native.ioctl(group, VFIO_GROUP_SET_CONTAINER, container), "VFIO_GROUP_SET_CONTAINER", path);
    // The first thread gives the container its IOMMU, the others are refused.
    native.ioctl(space.container, VFIO_SET_IOMMU, space.type);
  }
  const name = Buffer.from(`${address}\0`);
  return new KernelDevice(
    address,
    checked(native.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name), "VFIO_GROUP_GET_DEVICE_FD", address),
    realKernel,
  );
}

function checked(result: number, operation: string, subject: string): number {
  if (result < 0) throw systemError(result, operation, { subject });
  return result;
}

function waitAtBarrier(barrier: SharedArrayBuffer): void {
  const word = new Int32Array(barrier);
  const arrived = Atomics.add(word, 0, 1) + 1;
  Atomics.notify(word, 0);
  for (let seen = arrived; seen !== GO; seen = Atomics.load(word, 0)) Atomics.wait(word, 0, seen);
}
