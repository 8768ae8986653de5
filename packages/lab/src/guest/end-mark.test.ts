import fc from "fast-check";
import { EndMarkStream } from "./end-mark";

const MARK = "--ab-ab-abc--";

async function passThrough(chunks: Buffer[], mark = MARK): Promise<{ text: string; complete: boolean }> {
  const stream = new EndMarkStream(mark);
  const passed: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => passed.push(chunk));
  const ended = new Promise<void>((resolve) => stream.once("end", resolve));
  for (const chunk of chunks) stream.write(chunk);
  if (!stream.complete) stream.end();
  await ended;
  return { text: Buffer.concat(passed).toString("latin1"), complete: stream.complete };
}

/** Bytes that often look like the beginning of the mark. */
const output = fc
  .array(fc.constantFrom("-", "--", "--ab", "-ab-ab", "a", "b", "\n", "x"))
  .map((parts) => parts.join(""));

test("what comes before the mark comes through, however it is cut into chunks", async () => {
  await fc.assert(
    fc.asyncProperty(output, fc.array(fc.nat(40)), async (text, cuts) => {
      fc.pre(!text.includes(MARK) && !`${text}${MARK}`.slice(0, -1).includes(MARK));
      const data = Buffer.from(`${text}${MARK}rest`, "latin1");
      const edges = [0, ...cuts.filter((cut) => cut < data.length).sort((a, b) => a - b), data.length];
      const chunks = edges.slice(1).map((edge, index) => data.subarray(edges[index], edge));
      expect(await passThrough(chunks)).toEqual({ text, complete: true });
    }),
  );
});

test("a stream that is cut off gives all it had", async () => {
  expect(await passThrough([Buffer.from("abc--ab-")])).toEqual({ text: "abc--ab-", complete: false });
});

test("output is not held back until the end", () => {
  const stream = new EndMarkStream(MARK);
  stream.write("prompt> ");
  expect((stream.read() as Buffer | null)?.toString()).toBe("prompt> ");
});
