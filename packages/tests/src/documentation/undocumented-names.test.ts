import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

type UndocumentedNames = (
  files: readonly string[],
  options: Record<string, unknown>,
) => ReadonlyMap<string, readonly string[]>;
const { undocumentedNames } = jest.requireActual<{ undocumentedNames: UndocumentedNames }>(
  "../../../../scripts/undocumented-names.cjs",
);

const folder = mkdtempSync(join(tmpdir(), "undocumented-names-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** The undocumented names of an entry with this text. */
function namesOf(text: string): readonly string[] | undefined {
  const file = join(folder, "index.d.ts");
  writeFileSync(file, text);
  return undocumentedNames([file], { lib: ["es2022", "esnext.disposable"], types: [] }).get(file);
}

it("names what is exported without a comment, and each such member of a class or interface", () => {
  const text = `
    export declare const named: number;
    /** Documented. */
    export declare class Region {
      constructor(size: number);
      readonly size: number;
      /** Documented. */
      close(): void;
    }
    export interface Area { offset: number; }
  `;
  expect(namesOf(text)).toEqual(["named", "Region.constructor", "Region.size", "Area", "Area.offset"]);
});

it("a member has the comment of the interface or class that it comes from", () => {
  const text = `
    /** Documented. */
    export interface Registers {
      /** Documented. */
      read(offset: number): number;
      write(offset: number): void;
    }
    /** Documented. */
    export declare class Bar implements Registers { read(offset: number): number; write(offset: number): void; }
  `;
  expect(namesOf(text)).toEqual(["Registers.write", "Bar.write"]);
});

it("counts no private member, nothing that is not exported, no name of the kernel, and nothing that the language defines", () => {
  const text = `
    interface Hidden { secret: number; }
    export declare const VFIO_TYPE1_IOMMU = 1;
    /** Documented. */
    export declare class Memory implements Disposable {
      #private;
      private bytes;
      constructor();
      [Symbol.dispose](): void;
    }
    export { type Memory as Same };
  `;
  expect(namesOf(text)).toEqual([]);
});
