import { readFileSync } from "node:fs";
import { Language, Parser, type Tree } from "web-tree-sitter";
import { parseView } from "./parse-view";

/** Parses C as it stands in the file, without a preprocessor. */
export interface CParser {
  /** The tree's offsets are those of the text. */
  parse(text: string): Tree;
}

let loading: Promise<CParser> | undefined;

/** The grammar is a WebAssembly module, which loads once in a process. */
export async function cParser(): Promise<CParser> {
  loading ??= load();
  return loading;
}

async function load(): Promise<CParser> {
  await Parser.init();
  const parser = new Parser();
  // The grammar goes in as bytes, because the library would read the file by an import that jest does not allow.
  const grammar = new Uint8Array(readFileSync(require.resolve("tree-sitter-c/tree-sitter-c.wasm")));
  parser.setLanguage(await Language.load(grammar));
  return {
    parse(text) {
      const tree = parser.parse(parseView(text));
      if (tree === null) throw new Error("the C parser gave no tree");
      return tree;
    },
  };
}
