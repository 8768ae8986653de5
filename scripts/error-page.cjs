// Writes docs/errors.md from the table of codes (packages/core/src/errors/error-codes.ts). `--check` only compares.
const { readFileSync, readdirSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { ERROR_CODES } = require("../packages/core/dist/errors/error-codes");

const page = join(__dirname, "../docs/errors.md");
const cell = (text) => text.replaceAll("|", "\\|");

const text = `# Error codes

Every error of the toolkit is a \`VfioError\`. Its \`code\` is stable. \`operation\` and \`subject\` say what was tried on what, and
\`remedy\` says what to do about it. \`errno\` is set where a system call failed.

Where the kernel refused, \`code\` is the name of the errno (\`EBUSY\`). The message then names the ioctl or system call, and the
remedy fits it. [Troubleshooting](troubleshooting.md) has what does not fit in one line. The other codes are ours.
\`pnpm error-page\` writes this page from the table \`core/src/errors/error-codes.ts\`.

| code | what happened | what to do |
| --- | --- | --- |
${Object.entries(ERROR_CODES)
  .sort(([a], [b]) => a.localeCompare(b))
  .map(([code, { meaning, remedy }]) => `| \`${code}\` | ${cell(meaning)} | ${cell(remedy)} |`)
  .join("\n")}
`;

/** The sources of all packages, without tests and without the table itself. */
function* sources() {
  const packages = join(__dirname, "../packages");
  for (const name of readdirSync(packages)) {
    for (const file of readdirSync(join(packages, name, "src"), { recursive: true })) {
      if (file.endsWith(".ts") && !file.endsWith(".test.ts") && !file.endsWith("error-codes.ts")) {
        yield readFileSync(join(packages, name, "src", file), "utf8");
      }
    }
  }
}

const everything = [...sources()].join("\n");
const unused = Object.keys(ERROR_CODES).filter((code) => !everything.includes(`"${code}"`));
if (unused.length > 0) {
  console.error(`the table of codes has ${unused.join(", ")}, which nothing throws: take it out`);
  process.exit(1);
}

if (!process.argv.includes("--check")) {
  writeFileSync(page, text);
} else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/errors.md is not what the table of codes says: run `pnpm error-page`");
  process.exit(1);
}
