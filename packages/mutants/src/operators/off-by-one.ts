import type { Node } from "web-tree-sitter";
import { isRunTime } from "../source/mutable-nodes";
import { type Operator, wrapValue } from "./operator";

const INCLUSIVE: Readonly<Record<string, string>> = { "<": "<=", "<=": "<", ">": ">=", ">=": ">" };

/** Nodes without a side effect, which the kernel may evaluate twice. */
const PURE = new Set([
  "binary_expression",
  "cast_expression",
  "char_literal",
  "false",
  "field_expression",
  "field_identifier",
  "identifier",
  "null",
  "number_literal",
  "parenthesized_expression",
  "primitive_type",
  "sized_type_specifier",
  "sizeof_expression",
  "struct_specifier",
  "subscript_expression",
  "true",
  "type_descriptor",
  "type_identifier",
  "unary_expression",
]);

export const OFF_BY_ONE: Operator = {
  name: "off-by-one",
  summary: "`<` is `<=` and the reverse; a `+ 1` or `- 1` is missing",
  find({ node }, text) {
    if (node.type !== "binary_expression" || !isRunTime(node)) return [];
    const [left, sign, right] = ["left", "operator", "right"].map((name) => node.childForFieldName(name));
    if (!left || !sign || !right) return [];
    const piece = { start: node.startIndex, end: node.endIndex };
    const at = (part: Node): string => text.slice(part.startIndex, part.endIndex);
    const other = INCLUSIVE[sign.type];
    if (other !== undefined) {
      const faulty = `${at(left)} ${other} ${at(right)}`;
      const differs = isPure(left) && isPure(right) ? `(${at(left)}) == (${at(right)})` : undefined;
      return [{ ...piece, faulty, wrappers: [wrapValue(piece, faulty, differs)] }];
    }
    if ((sign.type === "+" || sign.type === "-") && /^1(?:u|ul|ull)?$/i.test(at(right))) {
      return [{ ...piece, faulty: at(left), wrappers: [wrapValue(piece, at(left))] }];
    }
    return [];
  },
};

function isPure(node: Node): boolean {
  return PURE.has(node.type) && node.namedChildren.every(isPure);
}
