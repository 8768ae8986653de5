/** The columns that a report keeps to, also where it goes into a file or a mail. */
const COLUMNS = 80;

/** What stays on one line: a command of ours, to its end, so that it can be copied; else a word. */
const PIECE = /(?:\(?sudo )?(?:npx |pnpm )?vfio-selftests [^,;]+|[^ ]+/g;

/**
 * A text under a heading, in lines of 80 columns: `heading` and the first words, then lines indented to the heading's
 * width. A word or a command that is longer than a line stays whole, to be copied.
 */
export function wrapText(heading: string, text: string): string[] {
  const lines: string[] = [];
  let line = heading;
  let empty = true;
  for (const word of text.match(PIECE) ?? []) {
    const next = empty ? `${line}${word}` : `${line} ${word}`;
    if (next.length > COLUMNS && !empty) {
      lines.push(line);
      line = `${" ".repeat(heading.length)}${word}`;
    } else {
      line = next;
    }
    empty = false;
  }
  return [...lines, line.trimEnd()];
}
