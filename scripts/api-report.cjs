// Writes etc/NAME.api.md in each published package, a report for each of its entries: every name that users get, with its type.
// A change of the interface then shows in review. API Extractor makes the reports.
//
//   node scripts/api-report.cjs           writes them
//   node scripts/api-report.cjs --check   fails where one is not that of the built types, or a public name or member has no comment
"use strict";

const { Extractor, ExtractorConfig } = require("@microsoft/api-extractor");
const { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { basename, join } = require("node:path");
const { publishedPackages } = require("./published-packages.cjs");
const { undocumentedNames } = require("./undocumented-names.cjs");

const ROOT = join(__dirname, "..");
const QUIET = { default: { logLevel: "none" } };

/** How the types are read: not as a package's own tsconfig says, which is for its sources. */
const COMPILER = {
  module: "node16",
  moduleResolution: "node16",
  target: "es2022",
  lib: ["es2022", "esnext.disposable"],
  types: ["node"],
  typeRoots: [join(ROOT, "node_modules/@types")],
  skipLibCheck: true,
  strict: true,
};

/** `[".", "dist/index.d.ts"]` for each entry of the manifest's `exports` that has types. */
function typedEntries({ exports: entries = {} }) {
  return Object.entries(entries).flatMap(([entry, { types }]) => (types === undefined ? [] : [[entry, types]]));
}

/** The report of one entry. API Extractor can only write it to a file. */
function reportOf(folder, types, name, temporary) {
  const config = ExtractorConfig.prepare({
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, "package.json"),
    configObject: {
      projectFolder: folder,
      mainEntryPointFilePath: join(folder, types),
      newlineKind: "lf",
      compiler: { overrideTsconfig: { compilerOptions: COMPILER } },
      apiReport: {
        enabled: true,
        reportFileName: name,
        reportFolder: temporary,
        reportTempFolder: join(temporary, "work"),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: "error" } },
        extractorMessageReporting: QUIET,
        tsdocMessageReporting: QUIET,
      },
    },
  });
  const problems = [];
  const messageCallback = (message) => {
    message.handled = true;
    if (message.logLevel === "error") problems.push(message.text);
  };
  const { succeeded } = Extractor.invoke(config, { localBuild: true, messageCallback });
  if (!succeeded) throw new Error(`${folder}: ${problems.join("; ")}`);
  return readFileSync(join(temporary, name), "utf8");
}

function main() {
  const check = process.argv.includes("--check");
  const packages = publishedPackages();
  const undocumented = undocumentedNames(
    packages.flatMap(({ folder, manifest }) => typedEntries(manifest).map(([, types]) => join(folder, types))),
    COMPILER,
  );
  const temporary = mkdtempSync(join(tmpdir(), "api-report-"));
  const problems = [];
  let count = 0;
  try {
    for (const { folder, manifest } of packages) {
      const etc = join(folder, "etc");
      const expected = new Set();
      for (const [entry, types] of typedEntries(manifest)) {
        const name = `${[basename(folder), ...entry.split("/").slice(1)].join("-")}.api.md`;
        expected.add(name);
        count += 1;
        const report = reportOf(folder, types, name, temporary);
        const names = undocumented.get(join(folder, types));
        if (names.length > 0) problems.push(`${manifest.name} ${entry}: no comment: ${names.join(", ")}`);
        const file = join(etc, name);
        const kept = existsSync(file) ? readFileSync(file, "utf8") : undefined;
        if (kept === report) continue;
        if (check) problems.push(`${file} is not the report of the built types: run \`pnpm api-report\``);
        else {
          mkdirSync(etc, { recursive: true });
          writeFileSync(file, report);
        }
      }
      for (const name of existsSync(etc) ? readdirSync(etc) : []) {
        if (expected.has(name)) continue;
        if (check) problems.push(`${join(etc, name)} belongs to no entry: run \`pnpm api-report\``);
        else rmSync(join(etc, name));
      }
    }
  } finally {
    rmSync(temporary, { recursive: true });
  }
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? `${count} API reports are up to date` : `${problems.length} problems`);
  process.exitCode = check && problems.length > 0 ? 1 : 0;
}

main();
