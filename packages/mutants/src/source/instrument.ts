import type { Wrapper } from "./mutant";

/** A wrapper and the number of its mutant. */
export interface NumberedWrapper extends Wrapper {
  readonly number: number;
}

/** A text to insert, and where in the original. */
interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** Where a wrapped piece lies in the new text. */
export interface WrappedSpan {
  readonly number: number;
  readonly start: number;
  readonly end: number;
}

export interface InstrumentedText {
  readonly text: string;
  readonly spans: readonly WrappedSpan[];
}

/**
 * Puts wrappers around pieces of a text. Pieces are apart, nested, or the same. It changes nothing of the text and adds
 * no line. Throws when two pieces overlap in another way.
 */
export function instrument(text: string, wrappers: readonly NumberedWrapper[]): InstrumentedText {
  // Outer wrappers come before inner ones. Of several around the same piece, the first is the outermost.
  const order = [...wrappers].sort((a, b) => a.start - b.start || b.end - a.end);
  const insertions: (Insertion & { readonly number: number; readonly opens: boolean })[] = [];
  const open: NumberedWrapper[] = [];
  const closeUpTo = (offset: number): void => {
    for (let top = open.at(-1); top !== undefined && top.end <= offset; top = open.at(-1)) {
      insertions.push({ at: top.end, text: top.after, number: top.number, opens: false });
      open.pop();
    }
  };
  for (const wrapper of order) {
    closeUpTo(wrapper.start);
    const around = open.at(-1);
    if (around !== undefined && wrapper.end > around.end) {
      throw new Error(`mutants ${around.number} and ${wrapper.number} overlap at offset ${wrapper.start}`);
    }
    insertions.push({ at: wrapper.start, text: wrapper.before(wrapper.number), number: wrapper.number, opens: true });
    open.push(wrapper);
  }
  closeUpTo(text.length);
  return insert(text, insertions);
}

function insert(
  text: string,
  insertions: readonly (Insertion & { readonly number: number; readonly opens: boolean })[],
): InstrumentedText {
  const parts: string[] = [];
  const spans: WrappedSpan[] = [];
  const starts: number[] = [];
  let length = 0;
  let last = 0;
  const add = (part: string): void => {
    parts.push(part);
    length += part.length;
  };
  for (const { at, text: inserted, number, opens } of insertions) {
    add(text.slice(last, at));
    last = at;
    if (opens) starts.push(length);
    add(inserted);
    if (!opens) spans.push({ number, start: starts.pop() ?? 0, end: length });
  }
  add(text.slice(last));
  return { text: parts.join(""), spans };
}
