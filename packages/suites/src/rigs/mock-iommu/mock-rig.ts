import { DmaMemory, Iommu, type IommuMode } from "@vfio-selftests/core";
import { IOMMU_HWPT_ALLOC, iommu_hwpt_alloc, type StructLayout } from "@vfio-selftests/core/uapi";
import { skip } from "@vfio-selftests/harness";
import { type Iommufd, iommufdOf } from "@vfio-selftests/iommu-modes";
import { PAGE_SIZE } from "../memory/page-size";
import { type RawAnswer, RawIommufd } from "../raw/raw-iommufd";
import { MockDevice } from "./mock-device";
import { IOMMU_TEST_CMD, IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, mock_domain } from "./test-command";

/** The most objects of a test. iommufd counts their ids from 1. */
const MOST_OBJECTS = 24;
/** The most objects that hold each other: device, nested page table, virtual device, vIOMMU, parent, address space. */
const LONGEST_CHAIN = 6;

type Fields = StructLayout["fields"];

/** A mock device of the rig: iommufd's id, the test interface's id, and the id of its first page table. */
export interface MockIds {
  readonly id: number;
  readonly test: number;
  readonly pageTable: number;
}

/** An iommufd with mock devices behind the kernel's mock IOMMU. Its disposal destroys everything that a test makes. */
export class MockRig implements Disposable {
  readonly iommu: Iommu;
  readonly door: Iommufd;
  readonly raw: RawIommufd;
  readonly memory = DmaMemory.allocate(4 * PAGE_SIZE);
  readonly bytes = new Uint8Array(this.memory.buffer);

  /** Skips the test where the kernel has no mock devices. */
  constructor(mode: IommuMode) {
    const availability = MockDevice.availability();
    if (!availability.available) {
      this.memory.close();
      skip(availability);
    }
    this.iommu = new Iommu(mode.open());
    this.door = iommufdOf(this.iommu);
    this.raw = new RawIommufd(this.door.file);
  }

  /** The id of the iommufd's first address space. */
  get ioas(): number {
    return this.door.ioas.id;
  }

  /** Makes an operation of the kernel's test interface. */
  test<F extends Fields>(
    op: number,
    layout: StructLayout<F>,
    values?: Readonly<Partial<Record<keyof F, number | bigint>>>,
    links?: Readonly<Partial<Record<keyof F, Uint8Array>>>,
  ): RawAnswer<F> {
    return this.raw.call(
      { IOMMU_TEST_CMD },
      layout,
      { ...values, op } as Readonly<Partial<Record<keyof F, number | bigint>>>,
      links,
    );
  }

  /** Makes a device, attached to an address space or page table. `flags` are MOCK_FLAGS_DEVICE_*. */
  device({ attachTo = this.ioas, flags = 0 } = {}): MockIds {
    const answer = this.test(IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, mock_domain, { id: attachTo, dev_flags: flags });
    return {
      id: answer.need("out_idev_id"),
      test: answer.get("out_stdev_id"),
      pageTable: answer.get("out_hwpt_id"),
    };
  }

  /** IOMMU_HWPT_ALLOC for the device, of the first address space unless `values` say otherwise. */
  pageTable(
    device: MockIds,
    values: Readonly<Partial<Record<keyof typeof iommu_hwpt_alloc.fields, number | bigint>>> = {},
    data?: Uint8Array,
  ): RawAnswer<typeof iommu_hwpt_alloc.fields> {
    const given = data === undefined ? {} : { data_len: data.length };
    return this.raw.call(
      { IOMMU_HWPT_ALLOC },
      iommu_hwpt_alloc,
      { dev_id: device.id, pt_id: this.ioas, ...given, ...values },
      data === undefined ? {} : { data_uptr: data },
    );
  }

  /** Destroys what the test made before the address space below it, and users before what they use. */
  [Symbol.dispose](): void {
    try {
      for (let pass = 0; pass < LONGEST_CHAIN; pass++) {
        for (let id = MOST_OBJECTS; id > 0; id--) if (id !== this.ioas) this.raw.destroy(id);
      }
      this.iommu.close();
    } finally {
      this.memory.close();
    }
  }
}

/** Gives each test a rig of its own, with a device. */
export type WithMockRig = (use: (rig: MockRig, device: MockIds) => void) => void;

/** Numbers of 32 bits as the kernel reads them. */
export function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}
