/** The page's style sheet. Colours are variables, so that the dark page is a table of other values. */
export const STYLE = `
:root { color-scheme: light dark;
  --ink: #1c2128; --faint: #59636e; --page: #fff; --card: #f6f8fa; --line: #d1d9e0; --link: #0550ae;
  --passed: #116329; --failed: #b3131f; --skipped: #7a4e00; --failed-page: #ffe9e7; --skipped-page: #fff5d6; --bar: #9ec5f4 }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e6edf3; --faint: #9aa5b1; --page: #0d1117; --card: #161b22; --line: #30363d; --link: #79b8ff;
  --passed: #56d364; --failed: #ff8a80; --skipped: #e3b341; --failed-page: #3d1618; --skipped-page: #2e2711; --bar: #1f4a7d } }
* { box-sizing: border-box }
html { scroll-padding-top: 3.5rem }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); overflow-wrap: anywhere }
header, main { max-width: 78rem; margin: 0 auto; padding: 0 1rem }
main { padding-bottom: 4rem }
h1 { font-size: 1.5rem; margin: 1.2rem 0 .3rem } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem } h3 { font-size: 1rem; margin: 0 }
p { margin: .4rem 0 } small { color: var(--faint); font-size: .85em } code, pre { font: 13px/1.45 ui-monospace, monospace; unicode-bidi: isolate }
a { color: var(--link) } :focus-visible { outline: 2px solid var(--link); outline-offset: 1px }
nav { position: sticky; top: 0; z-index: 3; background: var(--page); border-bottom: 1px solid var(--line) }
nav ul { display: flex; gap: 1.1rem; max-width: 78rem; margin: 0 auto; padding: .55rem 1rem; list-style: none; overflow-x: auto; white-space: nowrap }
.skip-link { position: absolute; left: -99rem } .skip-link:focus { left: 1rem; top: .5rem; z-index: 4; background: var(--page); padding: .3rem }
.totals { display: flex; flex-wrap: wrap; gap: .3rem 1.6rem; font-size: 1.1rem; margin: .4rem 0 } .totals b { font-size: 1.5rem }
.passed { color: var(--passed) } .failed { color: var(--failed) } .skipped { color: var(--skipped) } .none { color: var(--faint) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; margin: .7rem 0 }
article.card { border-left: 4px solid var(--failed) } article:target { outline: 2px solid var(--link) }
a.self { color: inherit; text-decoration: none } a.self:hover { text-decoration: underline }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 1em; padding: 0 .6em; margin: 0 .4em .2em 0; font-size: .85em; background: var(--page) }
.errno { color: var(--failed); border-color: var(--failed); font-weight: 600 }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 4px; padding: .5rem .7rem; margin: .4rem 0; overflow: auto; max-height: 26rem; white-space: pre-wrap }
.label { margin: .6rem 0 0; font-size: .9em; color: var(--faint) } .command { display: flex; gap: .5rem; align-items: start } .command pre { flex: 1 }
button, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 4px; padding: .2rem .6rem }
.command button { margin-top: .4rem } input[type=search] { background: var(--page); min-width: 14rem }
details > summary { cursor: pointer; padding: .2rem 0 } details { margin: .2rem 0 }
details.suite { border-bottom: 1px solid var(--line); margin: 0 } .suite > summary { padding: .35rem 0 } .counts { white-space: nowrap; margin-left: .5rem; font-size: .9em }
.controls { display: flex; flex-wrap: wrap; gap: .5rem .9rem; align-items: center; margin: .8rem 0 } .controls[hidden] { display: none }
.scroll { overflow-x: auto; margin: .3rem 0 .8rem } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .22rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top } thead th { color: var(--faint); font-weight: 500; font-size: .85em; vertical-align: bottom; overflow-wrap: normal }
tr > th:first-child { text-align: left; position: sticky; left: 0; background: var(--page); z-index: 1 } tbody th { font-weight: 400; min-width: 10rem; max-width: 34rem }
.left { text-align: left } .matrix td { text-align: center; font: 13px/1.5 ui-monospace, monospace; white-space: nowrap } .matrix thead th { text-align: center; width: 5.5rem }
.matrix tr > th:first-child { text-align: left } .matrix tbody th { min-width: 22rem } td.failed { background: var(--failed-page); font-weight: 700 } td.failed a { color: inherit } td.skipped { background: var(--skipped-page) } .mixed { margin-left: .3em; text-decoration: none; color: inherit }
.bar { display: inline-block; height: .75em; margin-right: .5em; background: var(--bar); border-radius: 2px; width: calc(var(--share) * (100% - 6.5em)); min-width: 1px } td:has(> .bar) { min-width: 15rem; white-space: nowrap }
.range { display: block; position: relative; height: 1.1em; min-width: 10rem; border-bottom: 1px solid var(--line) }
td:has(> .range) + td { white-space: nowrap }
.range::before { content: ""; position: absolute; top: .2em; height: .6em; left: calc(var(--from) * 100%); width: max(2px, calc((var(--to) - var(--from)) * 100%)); background: var(--bar); border-radius: 2px }
.range::after { content: ""; position: absolute; top: 0; height: 1em; width: 2px; left: calc(var(--at) * (100% - 2px)); background: var(--ink) }
.histogram { position: relative; height: 8rem; border-bottom: 1px solid var(--ink); overflow: hidden } .axis { display: flex; justify-content: space-between; margin: 0 0 .6rem }
.column { position: absolute; bottom: 0; left: calc(var(--at) * 100%); width: max(1px, calc(var(--wide) * 100% - 1px)); height: max(1px, calc(var(--share) * 100%)); background: var(--bar) }
.mark { position: absolute; top: 0; bottom: 0; left: calc(var(--at) * (100% - 1px)); border-left: 1px dashed var(--ink) } .mark small { position: absolute; left: .2em; color: var(--ink); white-space: nowrap } .mark.before small { left: auto; right: .3em } .p90 small { top: 1.5em } .p99 small { top: 3em }
.marks { font-family: ui-monospace, monospace; letter-spacing: .15em; text-align: left } .word { font-weight: 600; font-size: .9em } .remedy { color: var(--faint) }
ul { padding-left: 1.2rem; margin: .3rem 0 } ul.plain { list-style: none; padding-left: 0 } ul.plain li { padding: .15rem 0 } [hidden] { display: none }
@media (max-width: 40rem) { h1 { font-size: 1.25rem } tbody th, .matrix tbody th { min-width: 8rem; max-width: 52vw } th, td { padding: .2rem .4rem } .matrix thead th { width: auto; font-size: .75em }
  .command { flex-direction: column; gap: 0 } .command pre { width: 100% } .command button { margin: 0 } input[type=search] { min-width: 0; width: 100% } .controls label:first-child { width: 100% } td:has(> .bar) { min-width: 9rem } }
@media print { nav, .controls, button { display: none } pre { max-height: none } }
`;
