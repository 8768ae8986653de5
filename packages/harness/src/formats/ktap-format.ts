import { type RunOutcome, totalsOf } from "../outcome/run-outcome";
import { fullId, type TestIdentity } from "../outcome/test-identity";
import type { TestOutcome } from "../outcome/test-outcome";
import { uniqueNames } from "./ktap-names";
import type { ReportFormatFactory, RunPlan } from "./report-format";

/**
 * KTAP version 1 (the kernel's Documentation/dev-tools/ktap.rst), nested by device where there are several, suite and variant. A
 * test's name is its whole id on every level, because parsers that know no nesting (kselftest's own log, LAVA) flatten the results.
 * It is written at the end: a level begins with the number of its tests.
 */
export const ktapFormat: ReportFormatFactory = (sink, plan) => ({
  end(run) {
    const root: Group = { id: "", children: [...groupTests([...run.tests.map(resultOf), ...missingTests(run, plan)])] };
    for (const [index, error] of run.errors.entries()) root.children.push(outsideTests(index, error));
    const all = [...nodesOf(root.children)];
    const names = new Map(uniqueNames(all.map(({ id }) => id)).map((name, index) => [all[index], name]));
    const { passed, failed, skipped } = totalsOf(run.tests);
    const lines = [
      VERSION,
      `1..${root.children.length}`,
      ...plan.headline.map((line) => `# ${oneLine(line)}`),
      ...root.children.flatMap((child, index) => nodeLines(child, index + 1, names)),
      ...(run.notes ?? []).map((note) => `# ${oneLine(note)}`),
      `# Totals: pass:${passed} fail:${failed} xfail:0 xpass:0 skip:${skipped} error:${run.errors.length}`,
    ];
    sink.write(`${lines.join("\n")}\n`);
  },
});

const VERSION = "KTAP version 1";

/** A line of result. */
interface Result {
  /** Distinguishes it from all other nodes. */
  readonly id: string;
  /** The ids of the groups that it is in, from the outside. */
  readonly groups: readonly string[];
  readonly ok: boolean;
  readonly directive?: string;
  readonly diagnostics: readonly string[];
}

interface Group {
  readonly id: string;
  readonly children: Node[];
}

type Node = Result | Group;

type Names = ReadonlyMap<Node | undefined, string>;

function resultOf(test: TestOutcome): Result {
  const { status, skip, failures, notes } = test;
  const remedy = skip === undefined ? [] : [`remedy: ${skip.remedy}`];
  return {
    id: fullId(test),
    groups: groupsOf(test),
    ok: status !== "failed",
    ...(status === "skipped" && { directive: `SKIP ${oneLine(skip?.reason ?? "")}`.trimEnd() }),
    diagnostics: [...notes, ...failures, ...remedy],
  };
}

/** What was to run and did not is no pass. */
function missingTests({ tests }: RunOutcome, { size }: RunPlan): readonly Result[] {
  const ran = new Set(tests.map(({ id, device }) => fullId({ id, device })));
  const missing = size?.all?.filter((test) => !ran.has(fullId(test))) ?? [];
  return missing.map((test) => {
    return { id: fullId(test), groups: groupsOf(test), ok: false, directive: "ERROR did not run", diagnostics: [] };
  });
}

function outsideTests(index: number, error: string): Result {
  const id = `outside any test ${index + 1}`;
  return { id, groups: [], ok: false, directive: "ERROR", diagnostics: [error] };
}

function groupsOf({ device, fixture, variant }: TestIdentity): readonly string[] {
  const suites = fixture === "" ? [] : [fixture, ...(variant === undefined ? [] : [`${fixture}.${variant}`])];
  return device === undefined ? suites : [device, ...suites.map((id) => `${device} ${id}`)];
}

function groupTests(results: readonly Result[], depth = 0): readonly Node[] {
  const nodes: Node[] = [];
  const members = new Map<string, Result[]>();
  for (const result of results) {
    const id = result.groups[depth];
    const known = id === undefined ? undefined : members.get(id);
    if (known !== undefined) known.push(result);
    else if (id === undefined) nodes.push(result);
    else {
      members.set(id, [result]);
      // Stands where the first of its tests stood.
      nodes.push({ id, children: [] });
    }
  }
  for (const node of nodes) {
    if ("children" in node) node.children.push(...groupTests(members.get(node.id) ?? [], depth + 1));
  }
  return nodes;
}

function* nodesOf(nodes: readonly Node[]): Generator<Node> {
  for (const node of nodes) {
    yield node;
    if ("children" in node) yield* nodesOf(node.children);
  }
}

function nodeLines(node: Node, number: number, names: Names): readonly string[] {
  const name = names.get(node) ?? node.id;
  if (!("children" in node)) {
    const directive = node.directive === undefined ? "" : ` # ${node.directive}`;
    return [...node.diagnostics.flatMap(diagnosticLines), `${word(node.ok)} ${number} ${name}${directive}`];
  }
  const { children } = node;
  const results = [...nodesOf(children)].flatMap((child) => ("children" in child ? [] : [child]));
  const skipped = results.every(({ directive }) => directive?.startsWith("SKIP") === true);
  const inner = [
    VERSION,
    // KUnit's parser learns the name from it, before the results (kunit_parser.py, parse_test_header).
    `# Subtest: ${name}`,
    `1..${children.length}`,
    ...children.flatMap((child, index) => nodeLines(child, index + 1, names)),
  ];
  const result = `${word(results.every(({ ok }) => ok))} ${number} ${name}${skipped ? " # SKIP" : ""}`;
  return [...inner.map((line) => `  ${line}`), result];
}

function word(ok: boolean): string {
  return ok ? "ok" : "not ok";
}

/** Three spaces, because a parser takes `# Subtest: …` for a header. */
function diagnosticLines(text: string): readonly string[] {
  return text.split(LINE_ENDS).map((line) => `#   ${line}`.trimEnd());
}

/** What Python's `splitlines`, by which parsers read, takes for the end of a line. */
const LINE_ENDS = /\r\n|[\n\v\f\r\u001c-\u001e\u0085\u2028\u2029]/;

/** Without what would begin a directive. */
function oneLine(text: string): string {
  return text.split(LINE_ENDS).join(" ").replace(/#\s+/g, "#").trim();
}
