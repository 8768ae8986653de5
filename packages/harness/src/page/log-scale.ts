/** Places of values above 0 on an axis on which equal ratios have equal lengths. */
export interface LogScale {
  readonly least: number;
  readonly most: number;
  /** From 0 to 1. A value beyond the axis stands at its end. */
  readonly at: (value: number) => number;
}

/** @param values those that the axis shall hold. What is not above 0 has no place of its own. */
export function logScale(values: readonly number[]): LogScale {
  const shown = values.filter((value) => value > 0);
  const least = Math.min(...shown);
  const most = Math.max(...shown);
  const length = Math.log(most / least);
  const at = (value: number): number => {
    if (!(value > least)) return 0;
    return Math.min(1, Math.log(value / least) / length);
  };
  return { least, most, at };
}
