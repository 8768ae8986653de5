import type { Node } from "web-tree-sitter";
import { calledName, isRunTime, type MutableNode } from "../source/mutable-nodes";
import { type ConditionFault, type Operator, wrapCondition } from "./operator";

/** How a reader sees the faulty condition. */
const READS: Readonly<Record<ConditionFault, (text: string) => string>> = {
  mutant_not: (text) => `!(${text})`,
  mutant_never: (text) => `(${text}, false)`,
  mutant_always: (text) => `(${text}, true)`,
};

/** Statements that depend on a condition, and the faults that make sense there. None makes a loop endless. */
const DECIDERS: Readonly<Record<string, readonly ConditionFault[]>> = {
  if_statement: ["mutant_not", "mutant_never", "mutant_always"],
  conditional_expression: ["mutant_not"],
  while_statement: ["mutant_never"],
  for_statement: ["mutant_never"],
};

export const CONDITION_NEGATED = operator("condition-negated", "a condition is taken for its opposite", "mutant_not");
export const CONDITION_NEVER = operator("condition-never", "a condition is taken for false", "mutant_never");
export const CONDITION_ALWAYS = operator("condition-always", "a condition is taken for true", "mutant_always");

function operator(name: string, summary: string, fault: ConditionFault): Operator {
  return {
    name,
    summary,
    find({ node }: MutableNode, text: string) {
      if (!faultsAt(node).includes(fault) || !isRunTime(node) || isAssert(node)) return [];
      const piece = { start: node.startIndex, end: node.endIndex };
      const faulty = READS[fault](text.slice(piece.start, piece.end));
      return [{ ...piece, faulty, wrappers: [wrapCondition(piece, fault)] }];
    },
  };
}

/** The faults that make sense for an expression, by where it stands. */
function faultsAt(node: Node): readonly ConditionFault[] {
  const { parent } = node;
  if (parent === null) return [];
  // To drop an operand of `&&` or `||`, the fault gives it the value that lets the other operand decide.
  if (parent.type === "binary_expression") {
    const connective = parent.childForFieldName("operator")?.type;
    if (connective === "&&") return ["mutant_always"];
    return connective === "||" ? ["mutant_never"] : [];
  }
  // The grammar counts the parentheses around a condition as part of the statement.
  const inner = parent.type === "parenthesized_expression" ? parent : node;
  const decider = inner.parent;
  if (decider === null || decider.childForFieldName("condition")?.id !== inner.id) return [];
  const withParentheses = decider.type === "if_statement" || decider.type === "while_statement";
  if (withParentheses !== (inner !== node)) return [];
  return DECIDERS[decider.type] ?? [];
}

/** Whether this is a condition like `WARN_ON(x)`, which is true only in a kernel with another fault. */
function isAssert(node: Node): boolean {
  return /^(?:WARN|BUG)/.test(calledName(node) ?? "");
}
