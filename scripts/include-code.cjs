// Keeps the code in docs/guides equal to the files that it comes from. A comment before a block of code names the file and a
// part of it: `<!-- code: examples/x/src/y.ts#part -->`, where the file has `// #region part` and `// #endregion part`. Without a
// part, the block is the whole file. Writes the pages anew; `--check` only compares.
const { readdirSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");

const ROOT = join(__dirname, "..");
const GUIDES = join(ROOT, "docs/guides");
const BLOCK = /^<!-- code: (\S+?)(?:#(\S+))? -->\n\n```(\w+)\n[^]*?^```$/gm;

function codeOf(page, file, part) {
  const lines = readFileSync(join(ROOT, file), "utf8").trimEnd().split("\n");
  if (part === undefined) return lines.join("\n");
  const find = (mark) => lines.findIndex((line) => line.trim() === `// #${mark} ${part}`);
  const [start, end] = [find("region"), find("endregion")];
  if (start < 0 || end < start) throw new Error(`${page}: ${file} has no part ${part}`);
  const code = lines.slice(start + 1, end);
  const indent = Math.min(...code.filter((line) => line !== "").map((line) => line.search(/\S/)));
  return code.map((line) => line.slice(indent)).join("\n");
}

const stale = [];
let blocks = 0;
for (const name of readdirSync(GUIDES).filter((file) => file.endsWith(".md"))) {
  const page = join(GUIDES, name);
  const text = readFileSync(page, "utf8");
  const included = text.replace(BLOCK, (_, file, part, language) => {
    blocks++;
    const mark = `<!-- code: ${file}${part === undefined ? "" : `#${part}`} -->`;
    return `${mark}\n\n\`\`\`${language}\n${codeOf(name, file, part)}\n\`\`\``;
  });
  if (included.split("<!-- code:").length - 1 !== (text.match(BLOCK) ?? []).length) {
    console.error(`docs/guides/${name}: a comment with \`code:\` has no block of code below it`);
    process.exitCode = 1;
  }
  if (included === text) continue;
  stale.push(name);
  if (!process.argv.includes("--check")) writeFileSync(page, included);
}
if (process.argv.includes("--check") && stale.length > 0) {
  console.error(`docs/guides has other code than its files (${stale.join(", ")}): run \`pnpm guide-code\``);
  process.exitCode = 1;
}
console.log(`${blocks} blocks of code`);
