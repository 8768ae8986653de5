import { join } from "node:path";
import { Iommu, PciDevice } from "@vfio-selftests/core";
import type { ModelWorker } from "../server/worker/model-worker";
import { startScratchModel } from "../testing/model-thread";
import { SPARSE_BAR } from "../testing/sparse-model";
import { VfioUserMode } from "./vfio-user-mode";

const [first, second] = SPARSE_BAR.areas;
let worker: ModelWorker;
beforeAll(() => {
  worker = startScratchModel({ module: join(__dirname, "../testing/sparse-model.ts") });
  worker.ready();
});
afterAll(async () => worker.close());

/** The counterpart of awilliam/tests' sparse-mmap, which reads the capability of a device that has it. */
describe("a model's BAR of which parts can be mapped", () => {
  const withDevice = (use: (device: PciDevice) => void): void => {
    using iommu = new Iommu(new VfioUserMode({ connectModel: () => ({ fd: worker.connect() }) }).open());
    using device = PciDevice.open(iommu, "model:sparse");
    use(device);
  };

  test("tells its areas, and maps those alone", () => {
    withDevice(({ vfio, bars }) => {
      const bar = bars[2];
      expect(bar?.region).toMatchObject({ size: SPARSE_BAR.size, mappable: true, mappableAreas: SPARSE_BAR.areas });
      expect(bar?.mappings.map(({ length }) => length)).toEqual([first.size, second.size]);
      // It cannot be mapped in one piece, so not for another device's DMA either.
      expect(bar?.mapping).toBeUndefined();
      for (const area of [
        { offset: 0, size: SPARSE_BAR.size },
        { offset: 0, size: first.size },
        { offset: first.offset, size: 2 * first.size },
        { offset: SPARSE_BAR.kept, size: first.size },
      ]) {
        expect(() => vfio.mapRegion(2, area)).toThrow(
          expect.objectContaining({ code: "ERR_INVALID_ARGUMENT" }) as Error,
        );
      }
    });
  });

  test("serves accesses inside an area from memory, and all others by messages", () => {
    withDevice((device) => {
      const bar = device.bar(2);
      /** Messages that the access took, besides the one that asks. */
      const messages = (access: () => void): number => {
        const before = bar.read32(SPARSE_BAR.messages);
        access();
        return bar.read32(SPARSE_BAR.messages) - before - 1;
      };
      for (const { offset, size } of [first, second]) {
        for (const at of [offset, offset + size - 4]) {
          const value = 0x5eed_0000 + at;
          const memory = () => {
            bar.write32(at, value);
            expect(bar.read32(at)).toBe(value);
          };
          expect([at, messages(memory)]).toEqual([at, 0]);
          // The model finds it there, too: it is the same memory.
          bar.write32(SPARSE_BAR.peek, at);
          expect(bar.read32(SPARSE_BAR.peeked)).toBe(value);
        }
      }
      const register = () => {
        bar.write32(SPARSE_BAR.kept, 0x600d);
        expect(bar.read32(SPARSE_BAR.kept)).toBe(0x600d);
      };
      expect(messages(register)).toBe(2);
      // The last word before an area and the first one behind it.
      for (const at of [first.offset - 4, second.offset - 4, first.offset + first.size]) {
        expect([at, messages(() => bar.read32(at))]).toEqual([at, 1]);
      }
    });
  });
});
