import { join } from "node:path";
import { DmaMemory, Iommu, type VfioDevice } from "@vfio-selftests/core";
import { DeviceMigration, DmaLog } from "@vfio-selftests/core/migration";
import { thrownBy } from "@vfio-selftests/core/testing";
import {
  VFIO_DEVICE_STATE_ERROR as ERROR,
  VFIO_DEVICE_STATE_PRE_COPY as PRE_COPY,
  VFIO_DEVICE_STATE_RESUMING as RESUMING,
  VFIO_DEVICE_STATE_RUNNING as RUNNING,
  VFIO_DEVICE_STATE_RUNNING_P2P as RUNNING_P2P,
  VFIO_DEVICE_STATE_STOP as STOP,
  VFIO_DEVICE_STATE_STOP_COPY as STOP_COPY,
} from "@vfio-selftests/core/uapi";
import type { ModelWorker } from "../server/worker/model-worker";
import { startScratchModel } from "../testing/model-thread";
import { Moving, PATTERN } from "../testing/moving-model";
import { VfioUserMode } from "./vfio-user-mode";

const PAGE = 4096;
const IOVA = 0x100_0000n;

const workers: ModelWorker[] = [];
beforeAll(() => {
  const module = join(__dirname, "../testing/moving-model.ts");
  workers.push(startScratchModel({ module }), startScratchModel({ module }), startScratchModel());
  for (const worker of workers) worker.ready();
});
afterAll(() => Promise.all(workers.map((worker) => worker.close())));

/** Devices that can move, and one that cannot. */
function open(which: 0 | 1 | 2): { iommu: Iommu; device: VfioDevice } & Disposable {
  const mode = new VfioUserMode({ connectModel: () => ({ fd: workers[which]?.connect() ?? -1 }) });
  const iommu = new Iommu(mode.open());
  const device = iommu.openDevice(`model:${which}`);
  return { iommu, device, [Symbol.dispose]: () => iommu.close() };
}

const poke = (device: VfioDevice, at: number, ...words: number[]): void => {
  for (const [i, word] of words.entries()) {
    device.writeRegion(0, at + 4 * i, new Uint8Array(Uint32Array.of(word).buffer));
  }
};
const bar = (device: VfioDevice): Uint8Array => {
  const bytes = new Uint8Array(PAGE);
  device.readRegion(0, 0, bytes);
  return bytes;
};
const word = (device: VfioDevice, at: number): number => new DataView(bar(device).buffer).getUint32(at, true);

test("a device moves to another, ahead of its stop and after it, and ends its work there", () => {
  using memory = DmaMemory.allocate(64 * PAGE, { backing: "memfd" });
  using source = open(0);
  using target = open(1);
  for (const { iommu } of [source, target]) iommu.map(memory, { iova: IOVA });
  using out = new DeviceMigration(source.device);
  using into = new DeviceMigration(target.device);
  expect(out.features()).toEqual({ p2p: false, preCopy: true });
  source.device.reset();
  poke(source.device, 0, 1, 2, 3);
  out.setState(PRE_COPY);
  const ahead = out.readAll();
  poke(source.device, Moving.destination, Number(IOVA), 0, 64 * PAGE);
  out.setState(STOP_COPY);
  expect(out.state).toBe(STOP_COPY);
  const left = word(source.device, Moving.left);
  const rest = out.readAll();
  const bytes = new Uint8Array(memory.buffer);
  expect(bytes.filter((byte) => byte === PATTERN)).toHaveLength(64 * PAGE - left);

  into.setState(RESUMING);
  into.write(Buffer.concat([ahead, rest]));
  into.setState(STOP);
  expect(bar(target.device)).toEqual(bar(source.device));
  into.setState(RUNNING);
  const deadline = performance.now() + 5000;
  while (word(target.device, Moving.left) > 0 && performance.now() < deadline);
  expect(bytes.every((byte) => byte === PATTERN)).toBe(true);
  // The source has done nothing since.
  expect(word(source.device, Moving.left)).toBe(left);
});

test("each state without a way to it, and data that are none, have their errno", () => {
  using target = open(1);
  using into = new DeviceMigration(target.device);
  expect(thrownBy(() => into.setState(RUNNING_P2P)).code).toBe("EINVAL");
  expect(thrownBy(() => into.readAll()).code).toBe("ERR_NOT_SUPPORTED");
  into.setState(RESUMING);
  expect(thrownBy(() => into.readAll()).code).toBe("EINVAL");
  expect(thrownBy(() => into.write(new Uint8Array(100))).code).toBe("EINVAL");
  expect(thrownBy(() => into.setState(RUNNING)).code).toBe("EINVAL");
  expect(into.state).toBe(ERROR);
  expect(thrownBy(() => into.write(new Uint8Array(1))).code).toBe("ERR_NOT_SUPPORTED");
  target.device.reset();
  expect(into.state).toBe(RUNNING);
});

test("a device that cannot move says so", () => {
  using fixed = open(2);
  using migration = new DeviceMigration(fixed.device);
  expect(migration.features()).toBeUndefined();
  expect(thrownBy(() => migration.setState(STOP)).code).toBe("ENOTTY");
  expect(thrownBy(() => new DmaLog(fixed.device, { ranges: [{ start: 0n, last: 4095n }] })).code).toBe("ENOTTY");
});

test.each(["memfd", "anonymous"] as const)("the log tells each written page of %s memory, and no other", (backing) => {
  using memory = DmaMemory.allocate(16 * PAGE, { backing });
  using source = open(0);
  source.device.reset();
  source.iommu.map(memory, { iova: IOVA });
  const whole = { start: IOVA, last: IOVA + BigInt(16 * PAGE) - 1n };
  const write = (page: number, offset: number, bytes: number): void => {
    poke(source.device, Moving.destination, Number(IOVA) + page * PAGE + offset, 0, bytes);
    const deadline = performance.now() + 5000;
    while (word(source.device, Moving.left) > 0 && performance.now() < deadline);
  };
  const pages = (...numbers: number[]) => numbers.map((page) => IOVA + BigInt(page * PAGE));
  write(1, 0, 1);
  using log = new DmaLog(source.device, { ranges: [whole] });
  expect(log.report(whole)).toEqual([]);
  write(3, PAGE - 1, 2);
  write(9, 0, 2 * PAGE);
  write(15, 7, 1);
  expect(log.report(whole)).toEqual(pages(3, 4, 9, 10, 15));
  expect(log.report(whole)).toEqual([]);
  write(5, 0, 1);
  expect(log.report(whole, 4n * BigInt(PAGE))).toEqual(pages(4));
  expect(thrownBy(() => new DmaLog(source.device, { ranges: [whole] })).code).toBe("EINVAL");
  log.stop();
  expect(thrownBy(() => log.report(whole)).code).toBe("EINVAL");
});

test("a bitmap that is too small is refused before anything is asked", () => {
  using source = open(0);
  const payload = new BigUint64Array([IOVA, 100n * BigInt(PAGE), BigInt(PAGE), 0n]);
  const links = [{ offset: 24, bytes: new Uint8Array(8) }];
  const error = thrownBy(() => source.device.feature(0x1_0008, new Uint8Array(payload.buffer), links));
  expect([error.code, error.message]).toEqual(["ERR_INVALID_ARGUMENT", expect.stringContaining("16, a bit")]);
});
