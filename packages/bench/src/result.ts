import type { Spread } from "./statistics";

/** How the figure is held against its goal. */
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
  /** IOMMU mode, model, …; empty when there is none. */
  readonly variant: string;
  readonly unit: string;
  readonly typescript: Spread;
  /** Absent when a C counterpart makes no sense. */
  readonly c?: Spread;
  readonly goal?: Goal;
}

/** The figure that the goal speaks of. */
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

/** Whether the goal is reached; undefined without a goal. */
export function reached(result: Result): boolean | undefined {
  const figure = figureOf(result);
  if (figure === undefined || result.goal === undefined) return undefined;
  return result.goal.atLeast === true ? figure >= result.goal.limit : figure <= result.goal.limit;
}
