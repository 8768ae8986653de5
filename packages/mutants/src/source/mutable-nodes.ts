import type { Node } from "web-tree-sitter";

/** A place in a function's body at which an expression or a statement may be replaced by another at run time. */
export interface MutableNode {
  readonly node: Node;
  readonly function: CFunction;
}

export interface CFunction {
  readonly name: string;
  readonly definition: Node;
  /** Whether the function returns a signed number: 0 or more for success, else `-errno`. */
  readonly returnsErrno: boolean;
}

/** Nodes that the compiler must know while it compiles, or that are no code. */
const CONSTANT_NODES = new Set([
  "ERROR",
  "alignof_expression",
  "array_declarator",
  "attribute_specifier",
  "bitfield_clause",
  "enum_specifier",
  "field_designator",
  "generic_expression",
  "gnu_asm_expression",
  "offsetof_expression",
  "preproc_call",
  "preproc_def",
  "preproc_function_def",
  "preproc_include",
  "sizeof_expression",
  "string_literal",
  "struct_specifier",
  "subscript_designator",
  "type_descriptor",
]);

/**
 * Macros whose arguments are types, names or constants, and macros that only watch: a fault in an assert or a message
 * would break the check, not what it checks.
 */
const CLOSED_CALLS =
  /^(?:BUILD_BUG\w*|static_assert|IS_ENABLED|IS_BUILTIN|IS_REACHABLE|IS_MODULE|ARRAY_SIZE|container_of(?:_const)?|list_(?:first|last|next|prev)_\w*entry\w*|rb_entry\w*|hlist_entry\w*|offsetof(?:end)?|sizeof_field|struct_size_t|typeof|__typeof__|FIELD_\w+|GENMASK\w*|BIT|BIT_ULL|__stringify|[A-Z_]*STRINGIFY|D(?:EFINE|ECLARE)_\w+|MODULE_\w+|CLASS|guard|scoped_\w+|ACQUIRE\w*|__builtin_\w+|WARN\w*|BUG\w*|VM_\w*BUG\w*|lockdep_\w+|might_\w+|trace_\w+|(?:pr|dev|pci|netdev|vfio)_(?:dbg|info|notice|warn|err|crit|alert|emerg|debug)\w*|printk\w*|_?printk|dynamic_\w+|pr_\w+)$/;

/** Conditions that depend on the configuration. The code behind them may be missing when the linker looks for it. */
const CONFIGURED = /\bIS_(?:ENABLED|BUILTIN|REACHABLE|MODULE)\b|\bCONFIG_\w+|\bBITS_PER_LONG\b/;

/** All places in the bodies of a file's functions, outermost first. */
export function* mutableNodes(root: Node, text: string): Generator<MutableNode> {
  for (const definition of functionsUnder(root)) {
    const body = definition.childForFieldName("body");
    const name = functionName(definition);
    if (body === null || name === undefined) continue;
    // Code that runs while the kernel boots is over before anybody can choose a mutant.
    if (/\b__(?:init|exit)\b/.test(text.slice(definition.startIndex, body.startIndex))) continue;
    const enclosing = { name, definition, returnsErrno: returnsErrno(definition) };
    for (const node of openNodes(body)) yield { node, function: enclosing };
  }
}

function* functionsUnder(node: Node): Generator<Node> {
  for (const child of node.namedChildren) {
    if (child.type === "function_definition") yield child;
    else if (child.type.startsWith("preproc_if") || child.type === "preproc_else") yield* functionsUnder(child);
  }
}

function functionName(definition: Node): string | undefined {
  let at = definition.childForFieldName("declarator");
  while (at !== null && at.type !== "function_declarator") at = at.childForFieldName("declarator");
  const name = at?.childForFieldName("declarator");
  return name?.type === "identifier" ? name.text : undefined;
}

function returnsErrno(definition: Node): boolean {
  const type = definition.childForFieldName("type")?.text ?? "";
  const plain = definition.childForFieldName("declarator")?.type === "function_declarator";
  return plain && /^(?:int|long|ssize_t|loff_t)$/.test(type);
}

function* openNodes(node: Node): Generator<Node> {
  for (const child of node.namedChildren) {
    if (!isOpen(child, node)) continue;
    yield child;
    yield* openNodes(child);
  }
}

function isOpen(node: Node, parent: Node): boolean {
  if (CONSTANT_NODES.has(node.type)) return false;
  if (isClosedCall(node)) return false;
  if (node.type === "declaration" && /^(?:static|const|extern|typedef)\b/.test(node.text)) return false;
  // A statement without a semicolon may be a macro that is a loop, whose arguments are names.
  if (node.type === "expression_statement") {
    const only = node.namedChild(0);
    if (node.hasError || !node.text.endsWith(";") || (only !== null && isClosedCall(only))) return false;
  }
  const field = (name: string): boolean => parent.childForFieldName(name)?.id === node.id;
  if (parent.type === "case_statement" && field("value")) return false;
  if (parent.type.startsWith("preproc_") && (field("condition") || field("name"))) return false;
  return true;
}

function isClosedCall(node: Node): boolean {
  if (node.type !== "call_expression") return false;
  const callee = node.childForFieldName("function");
  // `guard(mutex)(&lock)` declares a variable that lives until the end of its scope.
  return callee === null || callee.type === "call_expression" || CLOSED_CALLS.test(callee.text);
}

/** Whether the kernel decides a condition at run time: it is whole, and does not depend on the configuration. */
export function isRunTime(node: Node): boolean {
  return !node.hasError && !CONFIGURED.test(node.text) && !node.text.includes("#");
}

/** Whether no `#ifdef` is inside. It would become part of a macro's argument, or come twice in the faulty copy. */
export function isWhole(node: Node): boolean {
  return !node.hasError && !/^\s*#/m.test(node.text);
}

/** The called function's name, if the call has one: no pointer, no macro that makes a function. */
export function calledName(call: Node): string | undefined {
  const callee = call.type === "call_expression" ? call.childForFieldName("function") : null;
  return callee?.type === "identifier" ? callee.text : undefined;
}
