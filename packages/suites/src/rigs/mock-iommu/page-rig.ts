import { DmaMemory, type IommuMode } from "@vfio-selftests/core";
import { closeAll } from "@vfio-selftests/core/backend";
import { PAGE_SIZE } from "../memory/page-size";
import { IommufdFile } from "../raw/iommufd-files";
import { KernelAccess } from "./kernel-access";
import { type MockIds, MockRig } from "./mock-rig";
import {
  check_map,
  check_refs,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
  memory_limit,
  MOCK_ACCESS_RW_SLOW_PATH,
  mock_domain_replace,
  MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES,
} from "./test-command";

/** Of the memory. */
export const PAGES = 32;
/** Where the memory is mapped. */
export const IOVA = 0x0200_0000n;
/** iommufd_test_memory_limit as the kernel begins with it: all pages move at once. */
export const WHOLE_LIMIT = 65536;
const PAGE = BigInt(PAGE_SIZE);

/** Memory whose pages lie apart, an address space of it, and the kernel's own pins. */
export class PageRig implements Disposable {
  readonly rig: MockRig;
  readonly memory = DmaMemory.allocate(PAGES * PAGE_SIZE);
  readonly file: IommufdFile;
  #pins: KernelAccess | undefined;

  /** `limit`: bytes that the kernel takes for the pages which it moves at a time; for all iommufds until this ends. */
  constructor(mode: IommuMode, limit: number) {
    this.rig = new MockRig(mode);
    this.file = new IommufdFile(this.rig.door.file);
    const bytes = new Uint8Array(this.memory.buffer);
    // Every other page first, so that neighbours are seldom neighbours in memory.
    for (const odd of [0, 1]) for (let page = odd; page < PAGES; page += 2) bytes[page * PAGE_SIZE] = page;
    this.#setLimit(limit);
  }

  get ioas(): number {
    return this.rig.ioas;
  }

  map(ioas = this.ioas): void {
    const request = { ioas, vaddr: this.memory.address, length: this.memory.length, iova: IOVA };
    expect(this.file.map(request).code).toBe("ok");
  }

  unmap(): string {
    return this.file.unmap(this.ioas, IOVA, BigInt(this.memory.length)).code;
  }

  /**
   * Pins pages by their IOVAs; the id of the pin. From the first pin on, mappings begin and end with whole pages
   * (`iommufd_access_create`).
   */
  pin(page: number, pages: number): number {
    this.#pins ??= new KernelAccess(this.rig, MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES);
    const answer = this.#pins.pin(IOVA + BigInt(page) * PAGE, pages * PAGE_SIZE, { anyMemory: true });
    return answer.need("out_access_pages_id");
  }

  unpin(id: number): void {
    expect(this.#pins?.unpin(id)).toBe(0);
  }

  /** 0 where the page table leads to all of the memory. */
  holds(table: number): number | string {
    return this.holdsAt(table, this.memory.address, this.memory.length);
  }

  holdsAt(table: number, uptr: bigint, length: number, iova = IOVA): number | string {
    return this.rig.test(IOMMU_TEST_OP_MD_CHECK_MAP, check_map, { id: table, iova, length, uptr }).outcome;
  }

  /** Numbers of the pages that are pinned, each once. */
  pinned(): number[] {
    return this.pinnedAt(this.memory.address, PAGES);
  }

  pinnedAt(address: bigint, pages: number): number[] {
    return range(0, pages).filter((page) => {
      const refs = (count: number) => {
        const values = { length: PAGE_SIZE, uptr: address + BigInt(page) * PAGE, refs: count };
        return this.rig.test(IOMMU_TEST_OP_MD_CHECK_REFS, check_refs, values).outcome;
      };
      if (refs(0) === 0) return false;
      expect([page, refs(1)]).toEqual([page, 0]);
      return true;
    });
  }

  move({ test }: MockIds, to: number): number | string {
    return this.rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, { id: test, pt_id: to }).outcome;
  }

  remove({ test }: MockIds): void {
    expect(this.rig.raw.destroy(test)).toBe(0);
  }

  [Symbol.dispose](): void {
    closeAll("the mock device and its memory", [
      () => this.#setLimit(WHOLE_LIMIT),
      () => this.#pins?.[Symbol.dispose](),
      () => this.rig[Symbol.dispose](),
      () => this.memory.close(),
    ]);
  }

  #setLimit(limit: number): void {
    expect(this.rig.test(IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT, memory_limit, { limit }).outcome).toBe(0);
  }
}

/** Numbers of pages, one after another. */
export function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index);
}

/** Both ways of the kernel to copy, inside of a page and over several. */
export function expectReadsAndWrites(access: KernelAccess, bytes: Uint8Array): void {
  for (const slow of [0, MOCK_ACCESS_RW_SLOW_PATH]) {
    for (const [offset, length] of [
      [7, 1],
      [PAGE_SIZE - 3, 6],
      [100, 9 * PAGE_SIZE],
    ] as const) {
      const value = (offset + slow) % 251;
      const expected = Buffer.from(bytes);
      expected.fill(value, offset, offset + length);
      expect(access.write(IOVA + BigInt(offset), Buffer.alloc(length, value), slow)).toBe(0);
      expect(expected.equals(bytes)).toBe(true);
      const read = access.read(IOVA + BigInt(offset), length, slow);
      expect([read.outcome, Buffer.from(read.bytes).equals(expected.subarray(offset, offset + length))]).toEqual([
        0,
        true,
      ]);
    }
  }
}
