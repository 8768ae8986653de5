import type { Node } from "web-tree-sitter";
import { calledName, isWhole } from "../source/mutable-nodes";
import { type Operator, wrapStatement } from "./operator";

const RELEASE_OF: Readonly<Record<string, string>> = {
  mutex_lock: "mutex_unlock",
  down_read: "up_read",
  down_write: "up_write",
  spin_lock: "spin_unlock",
  spin_lock_irq: "spin_unlock_irq",
  xa_lock: "xa_unlock",
};

export const LOCK_DROPPED: Operator = {
  name: "lock-dropped",
  summary: "a lock is neither taken nor released in a function",
  find({ node, function: { definition } }) {
    const release = RELEASE_OF[statementCall(node)?.name ?? ""];
    if (release === undefined) return [];
    const { lock } = statementCall(node) ?? {};
    const calls = definition
      .descendantsOfType("expression_statement")
      .map((statement) => ({ statement, call: statementCall(statement) }))
      .filter(({ call }) => call?.lock === lock);
    const taken = calls.filter(({ call }) => call?.name !== release && RELEASE_OF[call?.name ?? ""] !== undefined);
    const released = calls.filter(({ call }) => call?.name === release);
    // A lock that a function takes twice, or another function releases, is no pair that can be dropped as a whole.
    if (taken.length !== 1 || released.length === 0) return [];
    const pieces = [node, ...released.map(({ statement }) => statement)].map((statement) => ({
      start: statement.startIndex,
      end: statement.endIndex,
    }));
    return [{ start: node.startIndex, end: node.endIndex, faulty: ";", wrappers: pieces.map(wrapStatement) }];
  },
};

/** The name and the arguments of a call that is a statement. */
function statementCall(statement: Node): { name: string; lock: string } | undefined {
  if (statement.type !== "expression_statement" || !isWhole(statement) || !statement.text.endsWith(";"))
    return undefined;
  const call = statement.namedChild(0);
  const name = call === null ? undefined : calledName(call);
  const lock = call?.childForFieldName("arguments")?.text;
  return name === undefined || lock === undefined ? undefined : { name, lock };
}
