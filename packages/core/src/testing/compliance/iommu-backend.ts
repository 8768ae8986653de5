/// <reference types="jest" />
import { native } from "@vfio-selftests/native";
import type { IommuBackend, ModeTraits } from "../../contracts/iommu";
import { DmaMemory } from "../../memory/dma-memory";
import { descriptorsAre, openDescriptors } from "../open-descriptors";
import { thrownBy } from "../thrown-by";

/** A back end that a test may change at will. */
export interface BackendUnderTest extends Disposable {
  /** New and empty. */
  readonly backend: IommuBackend;
  /** The address of a device that it opens. */
  readonly address: string;
  /** What its mode says of itself. */
  readonly traits: Pick<ModeTraits, "api" | "splitsMappings" | "choosesIova">;
}

const PAGE = native.pageSize();
const PAGES = 4;
const IOVA = 0x1000_0000n;
const WHOLE = BigInt(PAGES * PAGE);
const SIZE = BigInt(PAGE);

/** What `Iommu` relies on in every back end. `setUp` gives a new back end to each test of the block. */
export function iommuBackendCompliance(setUp: () => BackendUnderTest): void {
  describe("complies as an IommuBackend", () => {
    let under: BackendUnderTest;
    let backend: IommuBackend;
    let memory: DmaMemory;
    let descriptors: number;
    // False if `setUp`, or a hook before this one, skips the test.
    let isSetUp = false;
    beforeEach(() => {
      descriptors = openDescriptors();
      under = setUp();
      backend = under.backend;
      memory = DmaMemory.allocate(PAGES * PAGE, { backing: "memfd" });
      isSetUp = true;
    });
    afterEach(async () => {
      if (!isSetUp) return;
      isSetUp = false;
      under[Symbol.dispose]();
      backend.close();
      memory.close();
      await descriptorsAre(descriptors);
    });

    const open = () => backend.openDevice(under.address, {});
    const map = (iova = IOVA, pages = PAGES) => backend.map(memory, 0, pages * PAGE, iova, "read-write");
    const codeOf = (action: () => unknown) => thrownBy(action).code;

    it("maps where it is told, and counts what it unmaps", () => {
      using _device = open();
      expect(map()).toBe(IOVA);
      expect(backend.unmap(IOVA, WHOLE)).toBe(WHOLE);
      expect(map()).toBe(IOVA);
      expect(backend.unmapAll()).toBe(WHOLE);
      expect(backend.unmapAll()).toBe(0n);
    });

    it("refuses what lies over a mapping, in half pages, and past the end of the address space", () => {
      using _device = open();
      map();
      expect(codeOf(() => map(IOVA + SIZE, 1))).toBe("EEXIST");
      expect(codeOf(() => map(IOVA + WHOLE + 1n, 1))).toBe("EINVAL");
      expect(codeOf(() => backend.map(memory, 0, 100, IOVA + WHOLE, "read"))).toBe("EINVAL");
      expect(codeOf(() => map((1n << 64n) - SIZE, 2))).toBe("EOVERFLOW");
      expect(codeOf(() => backend.unmap((1n << 64n) - SIZE, 2n * SIZE))).toBe("EOVERFLOW");
      expect(backend.unmapAll()).toBe(WHOLE);
    });

    it("unmaps several mappings at once", () => {
      using _device = open();
      for (let page = 0; page < PAGES; page++) map(IOVA + BigInt(page) * SIZE, 1);
      expect(backend.unmap(IOVA + SIZE, 2n * SIZE)).toBe(2n * SIZE);
      expect(backend.unmapAll()).toBe(2n * SIZE);
    });

    it("cuts a mapping, or refuses to and leaves it whole", () => {
      using _device = open();
      map();
      if (under.traits.splitsMappings) {
        const cut = backend.unmap(IOVA, SIZE);
        expect(cut).toBeGreaterThanOrEqual(SIZE);
        expect(backend.unmapAll()).toBe(WHOLE - cut);
      } else {
        expect(["EINVAL", "ENOENT"]).toContain(codeOf(() => backend.unmap(IOVA, SIZE)));
        expect(["EINVAL", "ENOENT"]).toContain(codeOf(() => backend.unmap(IOVA + SIZE, SIZE)));
        expect(backend.unmapAll()).toBe(WHOLE);
      }
    });

    it("after an unmap that failed half-way, tells what is still mapped", () => {
      if (under.traits.splitsMappings) return;
      using _device = open();
      const starts = [IOVA, IOVA + SIZE, IOVA + 2n * SIZE];
      map(IOVA, 1);
      map(IOVA + SIZE, 1);
      map(IOVA + 2n * SIZE, 2);
      expect(["EINVAL", "ENOENT"]).toContain(codeOf(() => backend.unmap(IOVA, 3n * SIZE)));
      const left = starts.filter((iova) => backend.isMapped?.(iova) ?? true);
      const bytes = left.reduce((sum, iova) => sum + (iova === IOVA + 2n * SIZE ? 2n : 1n) * SIZE, 0n);
      expect(backend.unmapAll()).toBe(bytes);
    });

    it("says of an area without mappings that there are none", () => {
      using _device = open();
      if (under.traits.api === "iommufd") expect(codeOf(() => backend.unmap(IOVA, SIZE))).toBe("ENOENT");
      else expect(backend.unmap(IOVA, SIZE)).toBe(0n);
    });

    it("chooses an IOVA when it says that it can", () => {
      using _device = open();
      expect(backend.choosesIova).toBe(under.traits.choosesIova);
      const choose = () => backend.map(memory, 0, PAGE, undefined, "read");
      if (!backend.choosesIova) {
        expect(["ERR_INVALID_ARGUMENT", "EINVAL"]).toContain(codeOf(choose));
        return;
      }
      const iova = choose();
      expect(iova % SIZE).toBe(0n);
      expect(backend.unmap(iova, SIZE)).toBe(SIZE);
    });

    it("tells the usable IOVAs, sorted and apart, and page sizes", () => {
      using _device = open();
      const ranges = backend.iovaRanges();
      expect(ranges.length).toBeGreaterThan(0);
      ranges.forEach(({ start, last }, index) => {
        expect(start).toBeLessThan(last);
        const next = ranges[index + 1];
        if (next !== undefined) expect(last + 1n).toBeLessThan(next.start + 1n);
      });
      // The IOMMU serves the process's pages by one page of its own, or by several.
      expect(backend.pageSizes() & (2n * SIZE - 1n)).not.toBe(0n);
    });

    it("keeps its mappings when the last device goes, and when another cannot be opened", () => {
      open().close();
      map();
      expect(thrownBy(() => backend.openDevice("no such address", {})).code).not.toBe("");
      open().close();
      expect(backend.unmapAll()).toBe(WHOLE);
    });

    it("refuses everything once it is closed", () => {
      open().close();
      map();
      backend.close();
      backend.close();
      for (const use of [
        open,
        map,
        () => backend.unmap(IOVA, WHOLE),
        () => backend.unmapAll(),
        () => backend.iovaRanges(),
        () => backend.pageSizes(),
      ]) {
        expect(codeOf(use)).toBe("ERR_CLOSED");
      }
    });
  });
}
