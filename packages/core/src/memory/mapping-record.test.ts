import { thrownBy } from "../testing/thrown-by";
import { MappingRecord } from "./mapping-record";

const mappingAt = (iova: bigint) => ({ iova, length: 4096 });

/** The IOVAs that keep the memory from closing, as the error names them. */
function named(record: MappingRecord): string[] {
  const { message } = thrownBy(() => record.requireNone("close", "memory"));
  return message.match(/0x[0-9a-f]+/g) ?? [];
}

test("a mapping that is not in the record leaves those that are", () => {
  const record = new MappingRecord();
  const [first, second] = [mappingAt(0x1000n), mappingAt(0x2000n)];
  record.add(first);
  record.add(second);
  record.remove(mappingAt(0x2000n));
  expect(named(record).sort()).toEqual(["0x1000", "0x2000"]);
  record.remove(first);
  record.remove(first);
  expect(named(record)).toEqual(["0x2000"]);
  record.remove(second);
  record.requireNone("close", "memory");
});
