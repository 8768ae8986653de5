import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { PAGE_SIZE } from "../memory/page-size";
import type { MockRig } from "./mock-rig";
import {
  access_pages,
  access_replace_ioas,
  access_rw,
  check_refs,
  create_access,
  destroy_access_pages,
  IOMMU_TEST_OP_ACCESS_PAGES,
  IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
  IOMMU_TEST_OP_MD_CHECK_REFS,
  MOCK_ACCESS_RW_WRITE,
} from "./test-command";

/** An access object of the kernel's test interface. */
export class KernelAccess implements Disposable {
  readonly #rig: MockRig;
  readonly #file: OwnedDescriptor;

  constructor(rig: MockRig, flags: number) {
    this.#rig = rig;
    const answer = rig.test(IOMMU_TEST_OP_CREATE_ACCESS, create_access, { id: rig.ioas, flags });
    this.#file = new OwnedDescriptor(answer.need("out_access_fd"), "kernel access");
  }

  read(iova: bigint, length: number, flags: number): { outcome: number | string; bytes: Uint8Array } {
    const bytes = new Uint8Array(length);
    return { outcome: this.#transfer(iova, bytes, flags), bytes };
  }

  write(iova: bigint, bytes: Uint8Array, flags: number): number | string {
    return this.#transfer(iova, bytes, flags | MOCK_ACCESS_RW_WRITE);
  }

  /** The kernel compares what it pins with the rig's memory from `page` on, unless it is any memory. */
  pin(iova: bigint, length: number, { flags = 0, page = 0, anyMemory = false } = {}) {
    const uptr = anyMemory ? 0n : this.#rig.memory.address + BigInt(page * PAGE_SIZE);
    return this.#rig.test(IOMMU_TEST_OP_ACCESS_PAGES, access_pages, { id: this.#fd, flags, iova, length, uptr });
  }

  unpin(item: number): number | string {
    const values = { id: this.#fd, access_pages_id: item };
    return this.#rig.test(IOMMU_TEST_OP_DESTROY_ACCESS_PAGES, destroy_access_pages, values).outcome;
  }

  moveTo(ioas: number): number | string {
    return this.#rig.test(IOMMU_TEST_OP_ACCESS_REPLACE_IOAS, access_replace_ioas, { id: this.#fd, ioas_id: ioas })
      .outcome;
  }

  /** Whether this page of the memory is pinned exactly `pins` times. */
  pinsOf(pins: number, page = 0): boolean {
    const uptr = this.#rig.memory.address + BigInt(page * PAGE_SIZE);
    return (
      this.#rig.test(IOMMU_TEST_OP_MD_CHECK_REFS, check_refs, { length: PAGE_SIZE, uptr, refs: pins }).outcome === 0
    );
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }

  get #fd(): number {
    return this.#file.descriptor("access");
  }

  #transfer(iova: bigint, bytes: Uint8Array, flags: number): number | string {
    const values = { id: this.#fd, iova, length: bytes.length, flags };
    const links = bytes.length === 0 ? undefined : { uptr: bytes };
    return this.#rig.test(IOMMU_TEST_OP_ACCESS_RW, access_rw, values, links).outcome;
  }
}
