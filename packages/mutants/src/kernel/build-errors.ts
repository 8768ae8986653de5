/** The place of an error of the compiler or the linker, as far as it says where. */
export interface BuildError {
  /** The path as the compiler prints it. The linker prints none. */
  readonly path?: string;
  /** Absent where only the function is known. */
  readonly line?: number;
  readonly function?: string;
}

const PLACE = /^(\S+?\.[ch]):(\d+):(?:\d+:)? /;
const IN_FUNCTION = /^(\S+?\.[ch]): In function [‘'`](\w+)/;
const LINKED_FUNCTION = /: in function [‘'`](\w+)/;

/**
 * The places of errors in the output of a build (gcc, GNU ld). For an error in a header's macro, gcc also names the
 * places that use the macro: all of them count.
 */
export function parseBuildErrors(output: string): BuildError[] {
  const errors: BuildError[] = [];
  let inFunction: BuildError | undefined;
  let inError = false;
  let linked: string | undefined;
  for (const line of output.split("\n")) {
    const entered = IN_FUNCTION.exec(line);
    if (entered !== null) {
      inFunction = { path: entered[1] ?? "", function: entered[2] ?? "" };
      inError = false;
      continue;
    }
    linked = LINKED_FUNCTION.exec(line)?.[1] ?? linked;
    if (line.includes("undefined reference") && linked !== undefined) {
      errors.push({ function: linked });
      continue;
    }
    const place = PLACE.exec(line);
    if (place === null) continue;
    const kind = /: (?:fatal )?(error|warning|note): /.exec(line)?.[1];
    if (kind === "warning") inError = false;
    if (kind === "error") inError = true;
    if (!inError) continue;
    errors.push({
      path: place[1] ?? "",
      line: Number(place[2]),
      ...(inFunction?.function !== undefined && { function: inFunction.function }),
    });
  }
  return errors;
}
