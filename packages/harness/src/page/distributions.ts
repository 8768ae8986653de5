import { type Bucket, type Distribution, figureText, type Percentiles } from "../benchmark/bench-report";
import { groupBy } from "../formats/group-by";
import { type Html, html } from "./html";
import { type LogScale, logScale } from "./log-scale";
import type { PageBenchmark } from "./page-benchmark";
import { counted } from "./text";

/** A distribution in one of the files. */
interface Plot {
  readonly file: string;
  readonly distribution: Distribution;
}

/** A histogram with its percentiles for each distribution. Those of the same measurement in several files share an axis. */
export function distributionsPart(benchmarks: readonly PageBenchmark[]): Html {
  const plots = benchmarks.flatMap(({ name, report }) =>
    report.distributions.map((distribution): Plot => ({ file: name, distribution })),
  );
  const same = groupBy(plots, ({ distribution: { where, name, variant, unit } }) =>
    JSON.stringify([where, name, variant, unit]),
  );
  return html`${[...same.values()].map((group) => card(group, benchmarks.length > 1))}`;
}

function card(group: readonly [Plot, ...Plot[]], several: boolean): Html {
  const { where, name, variant } = group[0].distribution;
  const scale = logScale(
    group.flatMap(({ distribution }) => distribution.buckets.flatMap(({ from, to }) => [from, to])),
  );
  return html`<div class="card">
    <h3>${name} <small>${[...(variant === "" ? [] : [variant]), where].join(" · ")}</small></h3>
    ${group.map((plot) => histogram(plot, scale, several))}
  </div>`;
}

const RANKS = ["p50", "p90", "p99"] as const satisfies readonly (keyof Percentiles)[];

function histogram({ file, distribution }: Plot, scale: LogScale, several: boolean): Html {
  const { unit, count, percentiles, buckets } = distribution;
  const events = counted(count, "event");
  const most = Math.max(...buckets.map((bucket) => bucket.count), 1);
  const values = [...RANKS, "max" as const]
    .map((rank) => `${rank} ${figureText(percentiles[rank])} ${unit}`)
    .join(", ");
  return html`<p>${several ? html`<b>${file}</b>: ` : undefined}${events}: ${values}</p>
    <div class="histogram" role="img" aria-label="Histogram of ${events}: ${values}">
      ${buckets.map((bucket) => column(bucket, most, scale, unit))}${RANKS.map((rank) => mark(rank, percentiles[rank], scale))}
    </div>
    <p class="axis" aria-hidden="true">
      <small>${figureText(scale.least)} ${unit}</small><small>${figureText(scale.most)} ${unit}</small>
    </p>`;
}

function column({ from, to, count }: Bucket, most: number, { at }: LogScale, unit: string): Html | undefined {
  if (count === 0) return undefined;
  const [left, right] = [at(from), at(to)];
  const style = `--at:${left.toFixed(4)};--wide:${(right - left).toFixed(4)};--share:${(count / most).toFixed(4)}`;
  return html`<span
    class="column"
    style="${style}"
    title="${figureText(from)} to ${figureText(to)} ${unit}: ${count}"
  ></span>`;
}

function mark(rank: string, value: number, { at }: LogScale): Html {
  const place = at(value);
  // The word of a mark near the right end stands on its left, inside the plot.
  const side = place > 0.8 ? "before" : "after";
  return html`<span class="mark ${rank} ${side}" style="--at:${place.toFixed(4)}"><small>${rank}</small></span>`;
}
