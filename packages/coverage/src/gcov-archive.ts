/** One test's gcov data in one file: a line of JSON that lists the files, then their contents one after the other. */
export interface GcovArchive {
  /** The test's id. */
  readonly test: string;
  /** The `.gcda` files, by path. */
  readonly files: readonly { readonly path: string; readonly data: Uint8Array }[];
}

/** An archive as bytes: a line of JSON with paths and lengths, then the files' data. */
export function encodeArchive({ test, files }: GcovArchive): Buffer {
  const index = files.map(({ path, data }) => [path, data.byteLength]);
  return Buffer.concat([Buffer.from(`${JSON.stringify({ test, files: index })}\n`), ...files.map(({ data }) => data)]);
}

/** Throws a RangeError for a file that ends too soon, because the guest went down while it wrote. */
export function decodeArchive(content: Buffer): GcovArchive {
  const end = content.indexOf("\n");
  if (end < 0) throw new RangeError("no index");
  const { test, files } = JSON.parse(content.subarray(0, end).toString()) as {
    test: string;
    files: [string, number][];
  };
  let offset = end + 1;
  const decoded = files.map(([path, length]) => {
    const data = content.subarray(offset, offset + length);
    if (data.byteLength !== length) throw new RangeError(`${path} is cut off`);
    offset += length;
    return { path, data };
  });
  return { test, files: decoded };
}
