import type { Node } from "web-tree-sitter";
import { isRunTime } from "../source/mutable-nodes";
import { type Operator, wrapValue } from "./operator";

const CONSTANT = /^[A-Z][A-Z0-9_]*[A-Z0-9]$/;

export const FLAG: Operator = {
  name: "flag",
  summary:
    "a flag is missing in a set of flags, is not set, or is not cleared; a bool that is assigned is the other one",
  find({ node }, text) {
    const piece = { start: node.startIndex, end: node.endIndex };
    const faulty = faultyValue(node, text.slice(piece.start, piece.end));
    if (faulty === undefined || !isRunTime(node)) return [];
    return [{ ...piece, faulty, wrappers: [wrapValue(piece, faulty)] }];
  },
};

function faultyValue(node: Node, text: string): string | undefined {
  const { parent } = node;
  if (parent === null) return undefined;
  const sign = parent.childForFieldName("operator")?.type;
  if (parent.type === "binary_expression") return sign === "|" && CONSTANT.test(text) ? "0" : undefined;
  if (parent.type !== "assignment_expression" || parent.childForFieldName("right")?.id !== node.id) return undefined;
  if (sign === "=" && (text === "true" || text === "false")) return text === "true" ? "false" : "true";
  if (sign === "|=" && CONSTANT.test(text)) return "0";
  if (sign === "&=" && text.startsWith("~")) return "~0";
  const left = parent.childForFieldName("left")?.text ?? "";
  return sign === "=" && /flags$/.test(left) && CONSTANT.test(text) ? "0" : undefined;
}
