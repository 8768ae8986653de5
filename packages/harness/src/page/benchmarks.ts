import { type BenchResult, goalText, reached, type Spread, spreadText } from "../benchmark/bench-report";
import { groupBy } from "../formats/group-by";
import { distributionsPart } from "./distributions";
import { type Html, html } from "./html";
import { type LogScale, logScale } from "./log-scale";
import type { PageBenchmark } from "./page-benchmark";
import { table } from "./table";
import { counted } from "./text";

/** A measurement in one of the files. */
interface Row {
  readonly file: string;
  readonly result: BenchResult;
}

const HEADINGS = [
  { text: "what" },
  { text: "least, median, most", left: true },
  { text: "median (least–most)" },
  { text: "goal", left: true },
] as const;

/** The figures with their spread, then how single events were distributed. Files stand below each other. */
export function benchmarksSection(benchmarks: readonly PageBenchmark[]): Html {
  const rows = benchmarks.flatMap(({ name, report }) => report.results.map((result): Row => ({ file: name, result })));
  const several = benchmarks.length > 1;
  return html`${benchmarks.map(({ name, report: { date, cpu, node, rounds } }) => html`<p><small>${name}: ${date}, ${cpu}, Node ${node}, ${counted(rounds, "round")}</small></p>`)}
  ${rows.length === 0 ? undefined : figures(rows, several)} ${distributionsPart(benchmarks)}`;
}

/** Measurements of one name share a scale, so that a reader can compare their variants, files and languages. */
function figures(rows: readonly Row[], several: boolean): Html {
  const byName = [...groupBy(rows, ({ result }) => JSON.stringify([result.where, result.name, result.unit])).values()];
  const lines = byName.flatMap((group) => {
    const scale = logScale(group.flatMap(({ result }) => [result.typescript, result.c].flatMap(ends)));
    const byVariant = [...groupBy(group, ({ result }) => result.variant).values()];
    return byVariant.flat().flatMap((row) => measured(row, scale, several));
  });
  return table("Benchmark figures", HEADINGS, lines);
}

function ends(spread: Spread | undefined): readonly number[] {
  return spread === undefined ? [] : [spread.min, spread.max];
}

function measured({ file, result }: Row, scale: LogScale, several: boolean): readonly Html[] {
  const { where, name, variant, unit, typescript, c } = result;
  const facts = [...(variant === "" ? [] : [variant]), where, ...(several ? [file] : [])].join(" · ");
  const verdict = reached(result) === false ? "failed" : "passed";
  const line = (language: string, spread: Spread, goal: Html | undefined): Html =>
    html`<tr>
      <th scope="row">${name.trim()} <small>${language} · ${facts}</small></th>
      <td class="left">${range(spread, scale)}</td>
      <td>${spreadText(spread)} ${unit}</td>
      <td class="left">${goal}</td>
    </tr>`;
  const goal = html`<span class="${verdict}">${goalText(result)}</span>`;
  return [line("TypeScript", typescript, goal), ...(c === undefined ? [] : [line("C", c, undefined)])];
}

function range({ min, median, max }: Spread, { at }: LogScale): Html {
  const [from, middle, to] = [at(min), at(median), at(max)].map((place) => place.toFixed(3));
  return html`<span class="range" style="--from:${from};--at:${middle};--to:${to}" aria-hidden="true"></span>`;
}
