// Compiles the package in the working folder, as its tsconfig.build.json says, into what npm gets: JavaScript without comments,
// and declarations with them, which editors show. `tsc` removes comments from both or from neither. A stack trace needs no
// source map, because the target is close to the sources: names and statements stay. What an older build left is deleted.
"use strict";

const { readdirSync, rmSync } = require("node:fs");
const { join, resolve } = require("node:path");
const ts = require("typescript");

const host = {
  getCanonicalFileName: (file) => file,
  getCurrentDirectory: ts.sys.getCurrentDirectory,
  getNewLine: () => ts.sys.newLine,
};

/** Ends the process with the compiler's messages, if there are any. */
function stopAt(diagnostics) {
  if (diagnostics.length === 0) return;
  process.stderr.write(ts.formatDiagnosticsWithColorAndContext(diagnostics, host));
  process.exit(1);
}

const { fileNames, options, errors } = ts.getParsedCommandLineOfConfigFile("tsconfig.build.json", undefined, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => stopAt([diagnostic]),
});
stopAt(errors);

const written = new Set();
const write = (file, text) => {
  written.add(resolve(file));
  ts.sys.writeFile(file, text);
};

const program = ts.createProgram(fileNames, options);
stopAt(ts.getPreEmitDiagnostics(program));
stopAt(program.emit(undefined, write, undefined, true).diagnostics);
// It shares the parsed files with the first, which has checked them.
const withoutComments = { ...options, declaration: false, removeComments: true, noCheck: true };
stopAt(ts.createProgram(fileNames, withoutComments, undefined, program).emit(undefined, write).diagnostics);

for (const file of readdirSync(options.outDir, { recursive: true, encoding: "utf8" })) {
  const path = join(options.outDir, file);
  if (/\.(js|js\.map|d\.ts)$/.test(file) && !written.has(resolve(path))) rmSync(path);
}
