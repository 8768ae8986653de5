// Checks a built site: every link within it leads to a file and an anchor that are there, and no page takes anything from the network.
//
//   node scripts/check-site.cjs FOLDER
"use strict";

const { existsSync, readdirSync, readFileSync, statSync } = require("node:fs");
const { dirname, join, relative } = require("node:path");

const [site] = process.argv.slice(2);
if (site === undefined) {
  console.error("usage: check-site.cjs FOLDER");
  process.exit(2);
}

const pages = readdirSync(site, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".html"))
  .map((name) => join(site, name));
const texts = new Map(pages.map((page) => [page, readFileSync(page, "utf8")]));
const anchors = new Map(
  [...texts].map(([page, text]) => [page, new Set([...text.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => plain(id)))]),
);
const isExternal = (url) => /^([a-z][a-z+.-]*:|\/\/)/i.test(url);
const problems = [];
let links = 0;

for (const [page, text] of texts) {
  for (const [element, tag] of text.matchAll(/<(a|link|script|img|iframe|source)\s[^>]*>/g)) {
    const url = /\s(?:href|src)="([^"]*)"/.exec(element)?.[1];
    if (url === undefined) continue;
    links += 1;
    if (!isExternal(url)) checkLocal(page, plain(url));
    else if (tag !== "a" && !url.startsWith("data:")) tell(page, `takes ${url} from the network`);
  }
}
for (const style of readdirSync(site, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".css"))) {
  const urls = readFileSync(join(site, style), "utf8").matchAll(
    /url\(["']?(https?:|\/\/)[^)]*\)|@import\s+["']https?:/g,
  );
  for (const [url] of urls) tell(join(site, style), `takes ${url} from the network`);
}

for (const problem of problems) console.error(problem);
console.log(`${pages.length} pages, ${links} links, ${problems.length} broken`);
process.exitCode = problems.length === 0 && pages.length > 0 ? 0 : 1;

function checkLocal(page, url) {
  const [address, anchor] = url.split("#", 2);
  const path = decodeURIComponent(address.split("?", 1)[0]);
  let file = path === "" ? page : path.startsWith("/") ? join(site, path) : join(dirname(page), path);
  if (existsSync(file) && statSync(file).isDirectory()) file = join(file, "index.html");
  if (!existsSync(file)) tell(page, `links to ${url}, which is not there`);
  else if (anchor && file.endsWith(".html") && !anchors.get(file)?.has(decodeURIComponent(anchor)))
    tell(page, `links to ${url}, whose anchor is not there`);
}

function tell(page, what) {
  problems.push(`${relative(site, page)} ${what}`);
}

/** A value of an attribute without HTML's escapes. */
function plain(text) {
  return text.replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"');
}
