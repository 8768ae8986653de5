/** Cuts a name to so many columns, and shows that it is cut. */
export function shortened(name: string, width: number): string {
  return name.length > width ? `${name.slice(0, width - 1)}…` : name;
}
