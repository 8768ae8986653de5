import type { Node } from "web-tree-sitter";
import { calledName, isWhole, type MutableNode } from "../source/mutable-nodes";
import { type Operator, wrapStatement, wrapValue } from "./operator";

/** Functions that count users, or free memory. */
const REFERENCE =
  /(?:^|_)(?:get|put|ref|unref|refcount_\w+|kref_\w+|pin|unpin|hold|release|grab|drop)$|^(?:refcount|kref|percpu_ref|users?)_|(?:^|_)(?:get|put)_|free|^fput|^fget/;

/** Locks, which have an operator of their own, and functions that order memory, yield the CPU or initialise. */
const NOT_DROPPED =
  /^(?:_?_?(?:mutex|spin|raw_spin|read|write|rw|down|up|xa|rcu|srcu|seqcount|write_seqcount|local|preempt|lock|unlock)_\w*|down_\w+|up_\w+|smp_\w+|barrier|cond_resched\w*|schedule\w*|set_current_state|init_\w+|\w*_(?:un)?lock(?:_\w+)?|mmap_\w+lock\w*|touch_\w+|INIT_\w+)$/;

/** Variables that hold 0 or `-errno`. */
const RESULT = /^(?:ret|rc|r|err|error|retval)$/;

/** Functions whose 0 is success, which the condition around them tests. */
const USER_COPY = /^(?:copy_(?:to|from)_user|copy_struct_from_user|put_user|get_user|clear_user)$/;

/** Drops the statement of a call, or a call whose result says whether it succeeded. */
export const CALL_DROPPED: Operator = {
  name: "call-dropped",
  summary: "a function is not called; where its result is used, that is success",
  find: (place, text) => [...droppedStatement(place, (name) => !REFERENCE.test(name)), ...droppedResult(place, text)],
};

export const REFERENCE_DROPPED: Operator = {
  name: "reference-dropped",
  summary: "a reference is not taken or not put, memory is not given back",
  find: (place) => droppedStatement(place, (name) => REFERENCE.test(name)),
};

function droppedStatement({ node }: MutableNode, wanted: (name: string) => boolean): ReturnType<Operator["find"]> {
  if (node.type !== "expression_statement" || !isWhole(node)) return [];
  const call = node.namedChild(0);
  const name = call === null ? undefined : calledName(call);
  // An upper-case name is a macro that may declare something, which a block of its own would hide.
  if (name === undefined || NOT_DROPPED.test(name) || /^[A-Z]/.test(name) || !wanted(name)) return [];
  const piece = { start: node.startIndex, end: node.endIndex };
  return [{ ...piece, faulty: ";", wrappers: [wrapStatement(piece)] }];
}

function droppedResult({ node, function: { returnsErrno } }: MutableNode, _text: string): ReturnType<Operator["find"]> {
  const name = calledName(node);
  if (name === undefined || /^[A-Z]/.test(name) || !isWhole(node)) return [];
  if (!USER_COPY.test(name) && !tellsSuccess(node, returnsErrno)) return [];
  if (NOT_DROPPED.test(name)) return [];
  const piece = { start: node.startIndex, end: node.endIndex };
  return [{ ...piece, faulty: "0", wrappers: [wrapValue(piece, "0")] }];
}

function tellsSuccess(call: Node, returnsErrno: boolean): boolean {
  const { parent } = call;
  if (parent?.type === "return_statement") return returnsErrno;
  if (parent?.type === "assignment_expression") {
    return parent.childForFieldName("operator")?.type === "=" && isResult(parent.childForFieldName("left"));
  }
  return parent?.type === "init_declarator" && isResult(parent.childForFieldName("declarator"));
}

function isResult(node: Node | null): boolean {
  return node?.type === "identifier" && RESULT.test(node.text);
}
