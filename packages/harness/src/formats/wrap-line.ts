/** Breaks a line at spaces, so that no part is longer than the terminal is wide. A longer word stays whole. */
export function wrapLine(text: string, columns: number): readonly string[] {
  const [start = ""] = /^ */.exec(text) ?? [];
  const hanging = `${start}  `;
  const lines: string[] = [];
  let current = start;
  for (const word of text.slice(start.length).split(" ")) {
    const isEmpty = current.trim() === "";
    const longer = isEmpty ? current + word : `${current} ${word}`;
    if (isEmpty || longer.length <= columns) {
      current = longer;
    } else {
      lines.push(current);
      current = hanging + word;
    }
  }
  return [...lines, current];
}
