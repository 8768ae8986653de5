/** What a report of the kernel says first. */
export function splatLine({ lines }: { readonly lines: readonly string[] }): string {
  return lines.find((line) => !line.includes("[ cut here ]")) ?? lines[0] ?? "";
}
