export interface KtapResult {
  readonly name: string;
  readonly status: "passed" | "failed" | "skipped";
  /** What follows the result's `#`. */
  readonly directive: string | undefined;
  readonly diagnostics: readonly string[];
  readonly children: readonly KtapResult[] | undefined;
}

/**
 * Reads KTAP version 1 by the letter of the kernel's Documentation/dev-tools/ktap.rst: two spaces a level, plans that come true,
 * numbers in order, and no line of an unknown kind. Throws for anything else.
 */
export function parseKtap(text: string): readonly KtapResult[] {
  const lines = text.split("\n");
  if (lines.pop() !== "") throw new Error("the last line does not end");
  const reader = { lines, at: 0 };
  const results = readLevel(reader, "", false);
  if (reader.at !== lines.length) throw new Error(`unexpected: ${lines[reader.at]}`);
  return results;
}

interface Reader {
  readonly lines: readonly string[];
  at: number;
}

const RESULT = /^(ok|not ok) (\d+) ([^#]+?)(?: # (.*))?$/;

function readLevel(reader: Reader, indent: string, isNested: boolean): readonly KtapResult[] {
  const take = (): string | undefined => {
    const line = reader.lines[reader.at];
    return line?.startsWith(indent) === true ? line.slice(indent.length) : undefined;
  };
  const expect = (pattern: RegExp): RegExpExecArray => {
    const line = take();
    const match = line === undefined ? null : pattern.exec(line);
    if (match === null) throw new Error(`line ${reader.at + 1}: ${line} does not match ${pattern}`);
    reader.at += 1;
    return match;
  };
  expect(/^KTAP version 1$/);
  if (isNested) expect(/^# Subtest: /);
  const count = Number(expect(/^1\.\.(\d+)$/)[1]);
  const results: KtapResult[] = [];
  const remarks = (): string[] => {
    const found: string[] = [];
    for (let line = take(); line?.startsWith("#") === true; line = take()) {
      found.push(line);
      reader.at += 1;
    }
    return found;
  };
  while (results.length < count) {
    const diagnostics = remarks();
    const header = /^# Subtest: (.*)$/.exec((reader.lines[reader.at + 1] ?? "").slice(indent.length + 2))?.[1];
    const nested = take()?.startsWith("  KTAP version") === true;
    const children = nested ? readLevel(reader, `${indent}  `, true) : undefined;
    const [, word, number, name = "", directive] = expect(RESULT);
    if (Number(number) !== results.length + 1) throw new Error(`${name} has number ${number}`);
    if (nested && header !== name) throw new Error(`${name} was announced as ${header}`);
    const skipped = directive === "SKIP" || directive?.startsWith("SKIP ") === true;
    const status = skipped ? "skipped" : word === "ok" ? "passed" : "failed";
    const broken = children?.some((child) => child.status === "failed");
    if (broken !== undefined && broken !== (status === "failed")) throw new Error(`${name} is not what its parts are`);
    results.push({ name, status, directive, diagnostics, children });
  }
  remarks();
  return results;
}

/** The results that have no parts. */
export function leavesOf(results: readonly KtapResult[]): readonly KtapResult[] {
  return results.flatMap((result) => (result.children === undefined ? [result] : leavesOf(result.children)));
}
