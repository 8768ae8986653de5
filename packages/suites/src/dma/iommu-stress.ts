import { DmaMemory, Iommu, PciDevice } from "@vfio-selftests/core";
import { eachMode, errorWithCode, fixture, note } from "@vfio-selftests/harness";
import { entryLimit } from "../rigs/iommu/entry-limit";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { lockedMemory } from "../rigs/ordinary-user/locked-memory";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const PIECE = 2 * MIB;
/** The same memory is mapped at each GiB but every third. `gibs` on hardware: the original's TiB. */
const SIZES = {
  hardware: { gibs: 1024, bytes: GIB },
  lab: { gibs: 96, bytes: 64 * MIB },
  models: { gibs: 0, bytes: PIECE },
} as const;
/** Which of four neighbours is mapped first, second, … */
const ORDER = [0, 1, 3, 2] as const;
const TIMEOUT_MS = 120_000;

/** Pieces of 2 MiB all over the space, mapped out of order; half of them leave, from both ends (awilliam/tests, iommu-stress). */
export function iommuStressSuite(target: SuiteTarget): void {
  fixture("vfio_iommu_stress", target, (address) => {
    eachMode(target, (mode) => {
      it(
        "out_of_order_and_half_of_it_back",
        () => {
          const { gibs, bytes } = SIZES[target.kind];
          const pieces = bytes / PIECE;
          using _limit = entryLimit(mode, gibs * pieces);
          using memory = DmaMemory.allocate(bytes, { backing: "shared", alignment: PIECE });
          using iommu = new Iommu(mode.open());
          using _device = PciDevice.open(iommu, address);
          const { backend } = iommu;
          const places = placesBelow(iommu, gibs);
          const iovaOf = (place: number, piece: number) => BigInt(place) * BigInt(GIB) + BigInt(piece * PIECE);
          const map = (place: number, piece: number) =>
            backend.map(memory, piece * PIECE, PIECE, iovaOf(place, piece), "read-write");
          const unmap = (place: number, piece: number) => backend.unmap(iovaOf(place, piece), BigInt(PIECE));
          const before = countedPages();
          const started = performance.now();

          for (const place of places) {
            for (const first of ORDER) for (let piece = first; piece < pieces; piece += 4) map(place, piece);
          }
          const mapped = performance.now();
          expect(countedPages() - before).toBe((places.length * bytes) / PAGE_SIZE);

          let left = places.length * pieces;
          for (const place of places) {
            for (const piece of leaving(pieces)) {
              expect(unmap(place, piece)).toBe(BigInt(PIECE));
              left--;
            }
          }
          note(
            `${places.length * pieces} maps in ${(mapped - started).toFixed(0)} ms, ` +
              `${places.length * pieces - left} unmaps in ${(performance.now() - mapped).toFixed(0)} ms`,
          );
          expect(countedPages() - before).toBe((left * PIECE) / PAGE_SIZE);

          // What the kernel still has, piece by piece, at the first place and at the last.
          const gone = new Set(leaving(pieces));
          for (const place of new Set([places[0] ?? 0, places.at(-1) ?? 0])) {
            for (let piece = 0; piece < pieces; piece++) {
              if (gone.has(piece)) {
                expect(map(place, piece)).toBe(iovaOf(place, piece));
                expect(unmap(place, piece)).toBe(BigInt(PIECE));
              } else {
                expect(() => map(place, piece)).toThrow(errorWithCode("EEXIST"));
              }
            }
          }
          expect(backend.unmapAll()).toBe(BigInt(left * PIECE));
          expect(countedPages()).toBe(before);
        },
        TIMEOUT_MS,
      );
    });
  });
}

/** Two GiBs of each three, as far as the IOMMU reaches; the third would have the PC's interrupt addresses (0xfee00000). */
function placesBelow(iommu: Iommu, gibs: number): number[] {
  const ranges = iommu.iovaRanges();
  return Array.from({ length: gibs }, (_, place) => place).filter((place) => {
    const first = BigInt(place) * BigInt(GIB);
    return place % 3 !== 0 && ranges.some(({ start, last }) => start <= first && first + BigInt(GIB) - 1n <= last);
  });
}

/** Every other piece: those of the lower half upwards, then those of the upper half from the last one downwards. */
function leaving(pieces: number): number[] {
  const all = Array.from({ length: pieces }, (_, piece) => piece);
  const lower = all.filter((piece) => piece < pieces / 2 && piece % 2 === 0);
  const upper = all.filter((piece) => piece > pieces / 2 && piece % 2 === 1);
  return [...lower, ...upper.reverse()];
}

function countedPages(): number {
  const { locked, pinned } = lockedMemory();
  return locked + pinned;
}
