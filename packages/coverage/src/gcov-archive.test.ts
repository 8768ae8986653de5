import fc from "fast-check";
import { decodeArchive, encodeArchive } from "./gcov-archive";

test("an archive is read as it was written", () => {
  const files = fc.array(fc.record({ path: fc.string(), data: fc.uint8Array() }));
  fc.assert(
    fc.property(fc.string(), files, (test, given) => {
      const read = decodeArchive(encodeArchive({ test, files: given }));
      expect(read.test).toBe(test);
      expect(read.files.map(({ path, data }) => [path, [...data]])).toEqual(
        given.map(({ path, data }) => [path, [...data]]),
      );
    }),
  );
});

test("one that is cut off is refused", () => {
  const whole = encodeArchive({ test: "a.b", files: [{ path: "/x.gcda", data: Buffer.from("counters") }] });
  expect(() => decodeArchive(whole.subarray(0, whole.length - 1))).toThrow("/x.gcda is cut off");
  expect(() => decodeArchive(whole.subarray(0, 5))).toThrow("no index");
});
