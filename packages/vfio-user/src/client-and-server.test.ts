import type { VfioDevice } from "@vfio-selftests/core";
import { DmaMemory, Eventfd, Iommu, VfioError } from "@vfio-selftests/core";
import { VfioUserBackend } from "./client/vfio-user-backend";
import { VfioUserMode } from "./client/vfio-user-mode";
import type { ModelWorker } from "./server/worker/model-worker";
import { startScratchModel } from "./testing/model-thread";
import { Scratch, SCRATCH_IDS } from "./testing/scratch-model";

const workers: ModelWorker[] = [];

function startModel(): ModelWorker {
  const worker = startScratchModel();
  workers.push(worker);
  return worker;
}

afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.close();
});

function write32(device: VfioDevice, offset: number, value: number): void {
  device.writeRegion(0, offset, new Uint8Array(new Uint32Array([value]).buffer));
}

function write64(device: VfioDevice, offset: number, value: bigint): void {
  device.writeRegion(0, offset, new Uint8Array(new BigUint64Array([value]).buffer));
}

function read32(device: VfioDevice, offset: number): number {
  const bytes = new Uint8Array(4);
  device.readRegion(0, offset, bytes);
  return new DataView(bytes.buffer).getUint32(0, true);
}

function waitForCopy(device: VfioDevice): number {
  const deadline = performance.now() + 5000;
  for (;;) {
    const status = read32(device, Scratch.status);
    if (status !== 1) return status;
    if (performance.now() > deadline) throw new Error("the copy does not end");
  }
}

function copy(device: VfioDevice, source: bigint, destination: bigint, size: number): number {
  write64(device, Scratch.source, source);
  write64(device, Scratch.destination, destination);
  write64(device, Scratch.size, BigInt(size));
  write32(device, Scratch.command, 1);
  return waitForCopy(device);
}

test("a device in a worker: info, registers, config space", () => {
  const worker = startModel();
  using iommu = new Iommu(new VfioUserMode({ connectModel: () => ({ fd: worker.connect() }) }).open());
  const device = iommu.openDevice("model:scratch");
  expect(device.info).toMatchObject({ regionCount: 9, irqCount: 5, resettable: true });
  expect(device.regionInfo(0)).toMatchObject({ size: 4096, readable: true, writable: true, mappable: false });
  expect(device.regionInfo(3).size).toBe(0);
  expect(device.irqInfo(2)).toMatchObject({ count: 40, eventfd: true, maskable: false });
  expect(() => device.feature(0x1000b, new Uint8Array(24), [{ offset: 16, bytes: new Uint8Array(16) }])).toThrow(
    "VFIO_DEVICE_FEATURE failed on model:scratch, feature 11: a vfio-user message carries no pointers",
  );
  const ids = new Uint8Array(4);
  device.readRegion(7, 0, ids);
  expect(new DataView(ids.buffer).getUint16(2, true)).toBe(SCRATCH_IDS.device);
  write32(device, 8, 0xdeadbeef);
  expect(read32(device, 8)).toBe(0xdeadbeef);
  expect(() => device.readRegion(0, 4095, new Uint8Array(2))).toThrow(VfioError);
});

test("a program in its event loop has anonymous memory served by the pump", async () => {
  const worker = startModel();
  using memory = DmaMemory.allocate(8192);
  const backend = new VfioUserBackend({ connectModel: () => ({ fd: worker.connect() }) });
  using iommu = new Iommu(backend);
  const region = iommu.map(memory);
  using device = backend.openDevice("model:scratch");
  using event = new Eventfd();
  device.setIrqs({ index: 2, action: "trigger", start: 0, count: 1, data: { eventfds: [event.fd] } });
  using _pump = device.pumpMemory();
  new Uint8Array(memory.buffer).fill(0x77, 0, 4096);
  write64(device, Scratch.source, region.iova);
  write64(device, Scratch.destination, region.iova + 4096n);
  write64(device, Scratch.size, 4096n);
  write32(device, Scratch.command, 2);
  expect(await event.wait()).toBe(1n);
  expect(new Uint8Array(memory.buffer)[8191]).toBe(0x77);
});

test.each(["memfd", "anonymous"] as const)("copies through %s memory", (backing) => {
  const worker = startModel();
  using iommu = new Iommu(new VfioUserMode({ connectModel: () => ({ fd: worker.connect() }) }).open());
  const memory = DmaMemory.allocate(2 * 1024 * 1024, { backing });
  const region = iommu.map(memory);
  const device = iommu.openDevice("model:scratch");
  const bytes = new Uint8Array(memory.buffer);
  for (let i = 0; i < 1_000_000; i += 1) bytes[i] = i * 7;
  expect(copy(device, region.iova, region.iova + 0x10_0000n, 1_000_000)).toBe(2);
  expect(Buffer.compare(bytes.subarray(0, 1_000_000), bytes.subarray(0x10_0000, 0x10_0000 + 1_000_000))).toBe(0);
  expect(copy(device, region.iova + 0x20_0000n, region.iova, 4096)).toBe(3);
  expect(read32(device, Scratch.faultReason)).toBe(1);
  expect(iommu.unmapAll()).toBe(BigInt(memory.length));
  memory.close();
});
