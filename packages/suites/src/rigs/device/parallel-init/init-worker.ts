import { parentPort } from "node:worker_threads";
import { PciDevice } from "@vfio-selftests/core";
import { type BorrowedSpace, openLentSpace } from "@vfio-selftests/iommu-modes";
import { GO, type InitAnswer, type InitMessage, type InitTiming } from "./init-request";

/**
 * One thread of the parallel init. When the barrier opens, it opens its devices in the address space that all threads
 * share. It closes them when told.
 */
const port = parentPort;
if (port === null) throw new Error("init-worker.js runs as a worker thread");
let devices: PciDevice[] = [];
let borrowed: BorrowedSpace | undefined;
const tell = (answer: InitAnswer) => port.postMessage(answer);

port.on("message", (message: InitMessage) => {
  switch (message.kind) {
    case "initialise":
      waitAtBarrier(message.barrier);
      try {
        const space = (borrowed = openLentSpace(message.space));
        tell({ event: "initialised", timings: message.addresses.map((address) => initialise(address, space)) });
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

/** Closes the devices first, then the address space. */
function closeAll(): void {
  for (const device of devices) device.close();
  devices = [];
  borrowed?.[Symbol.dispose]();
  borrowed = undefined;
}

function initialise(address: string, space: BorrowedSpace): InitTiming {
  const start = process.hrtime.bigint();
  const device = new PciDevice(space.openDevice(address));
  devices.push(device);
  // Upstream's init maps the BARs and asks for the interrupts, too.
  const mappings = device.bars.reduce((sum, bar) => sum + bar.mappings.length, 0);
  const vectors = device.interrupts.msi.count + device.interrupts.msix.count;
  return { address, start, end: process.hrtime.bigint(), mappings, vectors };
}

function waitAtBarrier(barrier: SharedArrayBuffer): void {
  const word = new Int32Array(barrier);
  const arrived = Atomics.add(word, 0, 1) + 1;
  Atomics.notify(word, 0);
  for (let seen = arrived; seen !== GO; seen = Atomics.load(word, 0)) Atomics.wait(word, 0, seen);
}
