import { styleText } from "node:util";
import type { TestStatus } from "../outcome/test-outcome";

/** What a report distinguishes by colour. */
export type Painted = TestStatus | "title";

/** Adds the colour of `kind` to a text that is already as wide as it shall be. */
export type Paint = (kind: Painted, text: string) => string;

const STYLES = { passed: "green", failed: "red", skipped: "yellow", title: "bold" } as const;

// The sink has decided whether there is colour. Node would ask the terminal of this process once more.
const inColour: Paint = (kind, text) => styleText(STYLES[kind], text, { validateStream: false });
const plain: Paint = (_, text) => text;

export function paintFor({ colour = false }: { readonly colour?: boolean | undefined }): Paint {
  return colour ? inColour : plain;
}

/**
 * Whether a stream shows colour: a terminal does, unless a CI's log records it. `NO_COLOR` (https://no-color.org) forbids
 * it, and `FORCE_COLOR` (https://force-color.org) asks for it anywhere else.
 */
export function showsColour({ isTTY = false }: { readonly isTTY?: boolean }, environment = process.env): boolean {
  const { NO_COLOR = "", FORCE_COLOR = "", CI, TERM } = environment;
  if (NO_COLOR !== "") return false;
  if (FORCE_COLOR !== "") return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return isTTY && CI === undefined && TERM !== "dumb";
}
