import { createHash } from "node:crypto";
import { REPORT_VERSION } from "../json-report/json-report";
import type { Totals } from "../outcome/run-outcome";
import { benchmarksSection } from "./benchmarks";
import { coverageSection, type PageCoverage } from "./coverage";
import { differenceSection, differencesOf } from "./difference";
import { durationsSection } from "./durations";
import { anchorsOf, failureGroups, failuresSection } from "./failures";
import { flakyOf, flakySection } from "./flaky";
import { type Html, html, trusted } from "./html";
import { matrixSection } from "./matrix";
import type { PageBenchmark } from "./page-benchmark";
import { histories, inOrder, newest, type PageRun, resultsOf } from "./page-run";
import { runsSection } from "./runs-table";
import { SCRIPT } from "./script";
import { notesSection, skipsSection } from "./skips";
import { STYLE } from "./style";
import { counted } from "./text";

/** Nothing is loaded, and only this one script runs: not even a mistake in the templates would run a report's text. */
const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  `script-src 'sha256-${createHash("sha256").update(SCRIPT).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Html;
}

/** What a page shows. */
export interface PageContent {
  /** Reports of runs, in any order. */
  readonly runs?: readonly PageRun[];
  /** Reports of `pnpm bench --json`. */
  readonly benchmarks?: readonly PageBenchmark[];
  /** Coverage, a table each. */
  readonly coverages?: readonly PageCoverage[];
}

/** One page of one or more files, whole in itself: it needs no network. */
export function reportPage({ runs = [], benchmarks = [], coverages = [] }: PageContent): string {
  const tests = runs.length === 0 ? undefined : testSections(inOrder(runs));
  const sections: readonly (Section | undefined)[] = [
    ...(tests?.sections ?? []),
    benchmarks.length > 0 ? { id: "benchmarks", title: "Benchmarks", body: benchmarksSection(benchmarks) } : undefined,
    coverages.length > 0 ? { id: "coverage", title: "Coverage", body: coverageSection(coverages) } : undefined,
  ];
  const names = [...(runs.length > 0 ? runs : [...benchmarks, ...coverages])].map(({ name }) => name);
  return pageOf({ names, totals: tests?.totals, sections: sections.filter((section) => section !== undefined) });
}

/** The sections of the runs' tests, and the totals of their newest results. */
function testSections(runs: readonly PageRun[]): {
  readonly sections: readonly (Section | undefined)[];
  readonly totals: Totals;
} {
  const byRun = runs.map((run) => ({ run, results: resultsOf(run) }));
  const results = byRun.flatMap((one) => one.results);
  const all = [...histories(results).values()];
  const latest = all.map(newest);
  const groups = failureGroups(results);
  const anchors = anchorsOf(groups);
  const flaky = flakyOf(all);
  const several = runs.length > 1;
  const mayBeFlaky = all.some((history) => history.length > 1);
  const failed = latest.filter(({ test }) => test.status === "failed").length;
  const skipped = latest.filter(({ test }) => test.status === "skipped").length;
  const sections: readonly (Section | undefined)[] = [
    several
      ? { id: "difference", title: "Difference", body: differenceSection(differencesOf(byRun), anchors) }
      : undefined,
    { id: "failures", title: "Failures", body: failuresSection(groups, runs) },
    { id: "matrix", title: "Tests", body: matrixSection(all, anchors) },
    mayBeFlaky ? { id: "flaky", title: "Flaky tests", body: flakySection(flaky) } : undefined,
    { id: "skips", title: "Skips", body: skipsSection(latest) },
    { id: "durations", title: "Durations", body: durationsSection(all) },
    { id: "notes", title: "Notes", body: notesSection(latest) },
    { id: "runs", title: several ? "Runs" : "The run", body: runsSection(runs) },
  ];
  return { sections, totals: { passed: latest.length - failed - skipped, failed, skipped } };
}

interface Page {
  /** Of what it shows most. */
  readonly names: readonly string[];
  /** Absent where it shows no tests. */
  readonly totals: Totals | undefined;
  readonly sections: readonly Section[];
}

function pageOf({ names, totals, sections }: Page): string {
  const what = names.length === 1 ? (names[0] ?? "") : counted(names.length, totals === undefined ? "file" : "run");
  const title = `vfio-selftests: ${what}`;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="generator" content="vfio-selftests report ${REPORT_VERSION}" />
        <title>${totals === undefined ? undefined : `${verdictOf(totals)} · `}${title}</title>
        ${trusted(`<style>${STYLE}</style>`)}
      </head>
      <body>
        <a class="skip-link" href="#content">Skip to the results</a>
        <header>
          <h1>${title}</h1>
          ${totals === undefined ? undefined : testHeader(totals, names.length > 1)}
        </header>
        <nav aria-label="Sections">
          <ul>
            ${sections.map(({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`)}
          </ul>
        </nav>
        <main id="content">
          ${sections.map(
            ({ id, title: name, body }) =>
              html`<section id="${id}" aria-labelledby="${id}-title">
                <h2 id="${id}-title">${name}</h2>
                ${body}
              </section> `,
          )}
        </main>
        ${totals === undefined ? undefined : trusted(`<script>${SCRIPT}</script>`)}
      </body>
    </html> `;
  return page.toString();
}

function verdictOf({ passed, failed }: Totals): string {
  return failed > 0 ? `${failed} failed` : passed > 0 ? "passed" : "nothing ran";
}

function testHeader({ passed, failed, skipped }: Totals, several: boolean): Html {
  return html`<p class="totals">
      <span class="passed"><b>${passed}</b> passed</span>
      <span class="${failed > 0 ? "failed" : "none"}"><b>${failed}</b> failed</span>
      <span class="${skipped > 0 ? "skipped" : "none"}"><b>${skipped}</b> skipped</span>
    </p>
    ${several ? html`<p><small>The newest result of each test on each kernel, device and mode.</small></p>` : undefined}
    <p><small>Keys: / filters the tests, n and p go to the next and the previous failure.</small></p>`;
}
