import { IOMMU_DESTROY, iommu_destroy, type StructLayout } from "@vfio-selftests/core/uapi";
import type { KernelFileAccess } from "@vfio-selftests/iommu-modes";
import { askKernel, outcome } from "./ask-kernel";

type Fields = StructLayout["fields"];

/** The outcome of an ioctl: 0 or the name of an errno, and the fields as the kernel left them. */
export interface RawAnswer<F extends Fields> {
  readonly outcome: number | string;
  readonly get: (field: keyof F) => number;
  /** Returns a field of the answer. Throws unless the call succeeded. */
  readonly need: (field: keyof F) => number;
}

/** The ioctls of an iommufd field by field, for requests that the kernel must refuse. */
export class RawIommufd {
  readonly #file: KernelFileAccess;

  constructor(file: KernelFileAccess) {
    this.#file = file;
  }

  /** `links`: the bytes to which the structure's pointers lead. `size` is right unless `values` has it. */
  call<F extends Fields>(
    named: Readonly<Record<string, number>>,
    layout: StructLayout<F>,
    values: Readonly<Partial<Record<keyof F, number | bigint>>>,
    links?: Readonly<Partial<Record<keyof F, Uint8Array>>>,
  ): RawAnswer<F> {
    const pairs = Object.entries(links ?? {}).flatMap(([field, bytes]) => {
      const at = layout.fields[field];
      return at === undefined ? [] : [at.offset, bytes as Uint8Array];
    });
    const { result, view } = askKernel(this.#file, named, layout, values, { links: pairs });
    const given = outcome(result);
    const get = (field: keyof F): number => Number(layout.fields[field]?.get(view) ?? 0);
    return {
      outcome: given,
      get,
      need(field) {
        if (given !== 0) throw new Error(`${Object.keys(named)[0]}: ${given}`);
        return get(field);
      },
    };
  }

  destroy(id: number): number | string {
    return this.call({ IOMMU_DESTROY }, iommu_destroy, { id }).outcome;
  }
}
