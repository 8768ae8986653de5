import type { Spread } from "./statistics";

/** How to compare the figure with its goal. */
export interface Goal {
  readonly kind: "ratio" | "difference" | "value";
  /** Upper bound, except for `atLeast`. */
  readonly limit: number;
  readonly atLeast?: boolean;
}

/** One line of the report: TypeScript beside C, measured in turns in the same run. */
export interface Result {
  readonly where: "host" | "lab";
  readonly name: string;
  /** IOMMU mode, model, …; empty without one. */
  readonly variant: string;
  readonly unit: string;
  readonly typescript: Spread;
  /** Absent where a C counterpart makes no sense. */
  readonly c?: Spread;
  readonly goal?: Goal;
}

/** The figure that the goal concerns. */
export function figureOf(result: Result): number | undefined {
  switch (result.goal?.kind) {
    case "ratio":
      return result.c && result.typescript.median / result.c.median;
    case "difference":
      return result.c && result.typescript.median - result.c.median;
    case "value":
      return result.typescript.median;
    case undefined:
      return undefined;
  }
}

/** Whether the result reaches its goal; undefined without a goal. */
export function reached(result: Result): boolean | undefined {
  const figure = figureOf(result);
  if (figure === undefined || result.goal === undefined) return undefined;
  return result.goal.atLeast === true ? figure >= result.goal.limit : figure <= result.goal.limit;
}
