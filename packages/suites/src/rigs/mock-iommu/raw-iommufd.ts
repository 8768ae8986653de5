import { errnoName } from "@vfio-selftests/core/errors";
import { IOMMU_DESTROY, iommu_destroy, type StructLayout, type StructView } from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";

type Fields = StructLayout["fields"];

/** What an ioctl gave: 0 or the name of an errno, and the structure as the kernel left it. */
export interface RawAnswer<F extends Fields> {
  readonly outcome: number | string;
  readonly get: (field: keyof F) => number;
  /** Throws unless the call succeeded; then a field of the answer. */
  readonly need: (field: keyof F) => number;
}

/** The ioctls of an iommufd field by field, so that requests can be made which the kernel must refuse. */
export class RawIommufd {
  readonly #file: KernelFileAccess;

  constructor(file: KernelFileAccess) {
    this.#file = file;
  }

  /** `links`: what the structure's pointers lead to. `size` is set unless it is among the values. */
  call<F extends Fields>(
    named: Readonly<Record<string, number>>,
    layout: StructLayout<F>,
    values: Readonly<Partial<Record<keyof F, number | bigint>>>,
    links?: Readonly<Partial<Record<keyof F, Uint8Array>>>,
  ): RawAnswer<F> {
    const [name = "", request = 0] = Object.entries(named)[0] ?? [];
    const view = layout.allocate();
    view.u32[0] = layout.size;
    for (const [field, value] of Object.entries(values)) setField(view, layout, field, value as number | bigint);
    const pairs = Object.entries(links ?? {}).flatMap(([field, bytes]) => {
      const at = layout.fields[field];
      return at === undefined ? [] : [at.offset, bytes as Uint8Array];
    });
    const result = this.#file.attempt({ name, request, argument: view.bytes, links: pairs });
    const outcome = result < 0 ? errnoName(-result) : result;
    const get = (field: keyof F): number => Number(layout.fields[field]?.get(view) ?? 0);
    return {
      outcome,
      get,
      need(field) {
        if (outcome !== 0) throw new Error(`${name}: ${outcome}`);
        return get(field);
      },
    };
  }

  destroy(id: number): number | string {
    return this.call({ IOMMU_DESTROY }, iommu_destroy, { id }).outcome;
  }
}

function setField(view: StructView, layout: StructLayout, name: string, value: number | bigint): void {
  const field = layout.fields[name];
  if (field === undefined) throw new RangeError(`no field ${name}`);
  if (field.width === 8) field.set(view, BigInt(value));
  else field.set(view, Number(value) >>> 0);
}
