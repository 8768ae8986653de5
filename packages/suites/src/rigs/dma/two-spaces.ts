import { DmaMemory } from "@vfio-selftests/core";
import { VFIO_DEVICE_ATTACH_IOMMUFD_PT, vfio_device_attach_iommufd_pt } from "@vfio-selftests/core/uapi";
import { deviceFileOf, type IoAddressSpace, iommufdDeviceOf } from "@vfio-selftests/iommu-modes";
import { EDU_IOVA_LIMIT } from "../../devices/edu/edu-registers";
import { PAGE_SIZE } from "../memory/page-size";
import type { RacerCall } from "../race/racer";
import { bytesOf } from "../raw/ask-kernel";
import type { AttachedRig } from "./attached-rig";

/** What a device is attached to: an IOAS, for which the kernel finds a page table, or a page table of the user's. */
export type TableKind = "ioas" | "page_table";

/** The IOVA that leads to another memory in each space. */
const SWITCHED = EDU_IOVA_LIMIT / 2n;
const FILL = 0xa5;

type Attachable = Parameters<AttachedRig["tie"]["attach"]>[0] & { readonly id: number; close(): void };

/** One of the two: what the device attaches to, and the memory to which the IOVA then leads. */
export interface Side {
  readonly table: Attachable;
  readonly bytes: Uint8Array;
}

/**
 * Two address spaces of one iommufd with the same mappings, except at one IOVA: it leads to a page of its own in each.
 * The device begins on the first side.
 */
export class TwoSpaces implements Disposable {
  readonly iova = SWITCHED;
  readonly sides: readonly [Side, Side];
  readonly #rig: AttachedRig;
  readonly #close: (() => void)[] = [];

  constructor(rig: AttachedRig, kind: TableKind) {
    this.#rig = rig;
    const [here, there] = [DmaMemory.allocate(PAGE_SIZE), DmaMemory.allocate(PAGE_SIZE)];
    const { door, tie, iommu } = rig;
    const { ioas } = door;
    const mapped = iommu.map(there, { iova: SWITCHED });
    const second = rig.copyOfSpace(SWITCHED);
    second.copyMapping(ioas, { sourceIova: SWITCHED, length: PAGE_SIZE, iova: SWITCHED });
    mapped.unmap();
    const region = iommu.map(here, { iova: SWITCHED });
    const tableOf = (space: IoAddressSpace): Attachable =>
      kind === "ioas" ? space : door.newPageTable({ device: tie, ioas: space });
    this.sides = [sideOf(tableOf(ioas), here), sideOf(tableOf(second), there)];
    this.#close.push(
      () => here.close(),
      () => there.close(),
      () => void region.unmap(),
      () => second.close(),
    );
    if (kind === "page_table")
      this.#close.push(
        ...this.sides.map(
          ({ table }) =>
            () =>
              table.close(),
        ),
      );
    tie.attach(this.sides[0].table);
  }

  /** Keeps each side in use by a device of its own, so that the switched device is never a side's last one. */
  hold(addresses: readonly string[]): void {
    this.sides.forEach(({ table }, number) => {
      const device = this.#rig.door.openDevice(addresses[number] ?? "");
      iommufdDeviceOf(device).attach(table);
      this.#close.push(() => device.close());
    });
  }

  /** The request that attaches the device to a side, for another thread. */
  attachCall({ table }: Side): RacerCall {
    return {
      file: deviceFileOf(this.#rig.copier.device.vfio),
      request: VFIO_DEVICE_ATTACH_IOMMUFD_PT,
      argument: bytesOf(vfio_device_attach_iommufd_pt, {
        argsz: vfio_device_attach_iommufd_pt.size,
        pt_id: table.id,
      }),
    };
  }

  /** The device goes back to the space of its `Iommu`, where its driver's memory stays mapped. */
  [Symbol.dispose](): void {
    this.#rig.tie.attach(this.#rig.door.ioas);
    for (const close of this.#close.reverse()) close();
  }
}

function sideOf(table: Attachable, memory: DmaMemory): Side {
  const bytes = new Uint8Array(memory.buffer);
  bytes.fill(FILL);
  return { table, bytes };
}
