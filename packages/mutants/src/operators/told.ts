import { isRunTime } from "../source/mutable-nodes";
import { type Operator, wrapValue } from "./operator";

/**
 * Fields with bytes or addresses, which the fault changes by a page, and fields with counts, which it changes by one.
 */
const BYTES = /(?:size|offset|length|len|iova|start|last|end|addr|pos)$/;
const COUNTS = /(?:^|_)(?:count|num|nr|index|npages|argsz|pgsizes|bitmap|max)(?:_|$)|^n(?:r_|um_|pages)/;

export const TOLD: Operator = {
  name: "wrong-size",
  summary: "a size, an offset or a count that is stored in a structure is wrong by a page or by one",
  find({ node }, text) {
    const { parent } = node;
    if (parent?.type !== "assignment_expression" || parent.childForFieldName("right")?.id !== node.id) return [];
    const left = parent.childForFieldName("left");
    if (parent.childForFieldName("operator")?.type !== "=" || left?.type !== "field_expression") return [];
    const field = left.childForFieldName("field")?.text ?? "";
    const piece = { start: node.startIndex, end: node.endIndex };
    const value = text.slice(piece.start, piece.end);
    if (!isRunTime(node) || /^(?:NULL|true|false|&)|alloc/.test(value)) return [];
    const wrong = BYTES.test(field) ? "4096" : COUNTS.test(field) ? "1" : undefined;
    if (wrong === undefined) return [];
    const faulty = `(${value}) + ${wrong}`;
    return [{ ...piece, faulty, wrappers: [wrapValue(piece, faulty)] }];
  },
};
