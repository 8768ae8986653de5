import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** More names than these, and nobody finds one: what few programs need has an entry of its own (README.md, "Entries"). */
const MOST = 45;

test("the main entry shows few names, each by itself", () => {
  const path = join(__dirname, "index.ts");
  const { statements } = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest);
  const names = statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement) || statement.exportClause === undefined) throw new Error("no list of names");
    if (!ts.isNamedExports(statement.exportClause)) throw new Error("a namespace is no name");
    return statement.exportClause.elements.map(({ name }) => name.text);
  });
  expect(names).toContain("PciDevice");
  expect(names.length).toBeLessThanOrEqual(MOST);
});
