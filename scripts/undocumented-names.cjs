// Finds public names without a comment: what a package exports, and the members of its classes and interfaces. A member has the comment
// of the class or interface that it comes from, as editors and the site show it.
"use strict";

const ts = require("typescript");

/** Names of the kernel's own headers, which document them. */
const KERNEL_NAME = /^(?:(?:vfio|iommu|liveupdate)_\w+|(?:F|IOMMU|IOMMUFD|LIVEUPDATE|MADV|MAP|MFD|O|PROT|VFIO)_\w+)$/;

/** The language says what they do: `[Symbol.dispose]()` ends what the object owns. */
const LANGUAGE_NAME = /^\[Symbol\.(?:dispose|asyncDispose|hasInstance)\]$/;

const isExempt = (name) => KERNEL_NAME.test(name) || LANGUAGE_NAME.test(name);

/** For each file with an entry's types, its undocumented names: `Iommu`, `Iommu.map`, `Iommu.constructor`. */
function undocumentedNames(files, compilerOptions) {
  const { options } = ts.convertCompilerOptionsFromJson(compilerOptions, ".");
  const program = ts.createProgram(files, options);
  const checker = program.getTypeChecker();
  const isDocumented = (symbol) =>
    symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;

  function ofSymbol(symbol) {
    const declarations = symbol.declarations ?? [];
    const members = declarations
      .filter((node) => ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node))
      .flatMap((node) => [...node.members].filter((member) => isPublic(member) && !isMemberDocumented(member)));
    return [
      ...(isDocumented(symbol) ? [] : [symbol.name]),
      ...members.map((member) => `${symbol.name}.${memberName(member)}`),
    ];
  }

  function isMemberDocumented(member) {
    if (isExempt(memberName(member))) return true;
    if (!ts.isConstructorDeclaration(member)) return isDocumented(member.symbol);
    return member.parameters.length === 0 || ts.getJSDocCommentsAndTags(member).length > 0;
  }

  return new Map(
    files.map((file) => {
      const entry = checker.getSymbolAtLocation(program.getSourceFile(file));
      const exported = checker
        .getExportsOfModule(entry)
        .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
        // `export =` of a class exports its `prototype`, too. A whole module's names count by themselves.
        .filter(({ flags }) => !(flags & (ts.SymbolFlags.Prototype | ts.SymbolFlags.ValueModule)))
        .filter(({ name }) => !isExempt(name));
      return [file, [...new Set(exported.flatMap(ofSymbol))]];
    }),
  );
}

function isPublic(member) {
  if (member.name !== undefined && ts.isPrivateIdentifier(member.name)) return false;
  // Call and index signatures say what they are.
  if (member.name === undefined && !ts.isConstructorDeclaration(member)) return false;
  return (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) === 0;
}

function memberName(member) {
  return ts.isConstructorDeclaration(member) ? "constructor" : member.name.getText();
}

module.exports = { undocumentedNames };
