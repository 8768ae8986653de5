/**
 * What the page does beside showing itself: filter, copy, keys. Without it everything can still be read. It takes no text of
 * the report for markup, and the page's policy allows no other script.
 */
export const SCRIPT = `
"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const one = (id) => document.getElementById(id);
const suites = all("details.suite");
for (const hidden of all(".controls, [data-copy]")) hidden.hidden = false;

const filter = one("filter"), onlyBad = one("only-bad");
let before;
function show() {
  const words = filter.value.toLowerCase().split(/\\s+/).filter((word) => word !== "");
  const narrowed = words.length > 0 || onlyBad.checked;
  before ??= suites.map((suite) => suite.open);
  let shown = 0;
  for (const [index, suite] of suites.entries()) {
    const name = suite.querySelector(".name").textContent.toLowerCase();
    let any = false;
    for (const row of all("tbody tr", suite)) {
      const text = name + "." + row.querySelector("th").textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (onlyBad.checked && !row.classList.contains("bad"));
      if (!row.hidden) { any = true; shown += 1; }
    }
    suite.hidden = !any;
    suite.open = narrowed ? any : before[index];
  }
  if (!narrowed) before = undefined;
  one("shown").textContent = narrowed ? shown + " tests" : "";
}
filter.addEventListener("input", show);
onlyBad.addEventListener("change", show);
one("open-all").addEventListener("click", () => { for (const suite of suites) suite.open = true; });
one("close-all").addEventListener("click", () => { for (const suite of suites) suite.open = false; });

for (const button of all("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}

const cards = all("article.card");
let card = -1;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === filter) {
    if (event.key === "Escape") { filter.value = ""; show(); filter.blur(); }
    return;
  }
  if (event.key === "/") { event.preventDefault(); filter.focus(); }
  else if ((event.key === "n" || event.key === "p") && cards.length > 0) {
    card = event.key === "n" ? Math.min(card + 1, cards.length - 1) : Math.max(card - 1, 0);
    cards[card].scrollIntoView();
    cards[card].focus({ preventScroll: true });
  }
});
`;
