/**
 * ESLint rule for the suites: every test ends with an assertion on what the kernel or the device did, or says why it
 * does not (`skip`, `notChecked`).
 *
 * A test proves something when on every way through its body one of these is called:
 *  - a matcher of `expect`, unless the value is one of our own books (option `books`: `interrupts.enabled` says what we
 *    remember, not what the kernel does) or the error is one of our own argument checks (`errorWithCode("ERR_…")`);
 *  - a function or method named `assert…` or `expect…`, `skip` or `notChecked`;
 *  - a function of the same file that proves something, or a method named in option `provers`.
 *
 * What the rule takes on trust: a callback that is an argument is called, and a loop has at least one turn. A proof in
 * one branch only, in a `catch`, or behind `&&`, `||` and `??` is none; a `return` before the first proof is reported.
 */

const TESTS = new Set(["it", "test"]);
const DISCLAIMERS = new Set(["skip", "notChecked"]);
const ASSERTION = /^(?:assert|expect)(?=[A-Z])/;
const OWN_ERROR = /^ERR_/;

/** @type {import("eslint").Rule.RuleModule} */
module.exports = {
  meta: {
    type: "problem",
    docs: { description: "A test ends with an assertion on what the kernel or the device did, a skip, or notChecked" },
    schema: [
      {
        type: "object",
        properties: {
          books: { type: "array", items: { type: "string" } },
          provers: { type: "array", items: { type: "string" } },
        },
        additionalProperties: false,
      },
    ],
    messages: {
      nothing: "No way through this test is sure to assert what the kernel or the device did.",
      early: "The test can leave here before it has asserted anything: skip, or say notChecked.",
    },
  },
  create(context) {
    const { books = [], provers = [] } = context.options[0] ?? {};
    const judge = new Judge(context, new Set(books), new Set(provers));
    return {
      CallExpression(node) {
        if (!isTest(node)) return;
        const body = node.arguments.find(isFunction);
        if (body === undefined) return;
        const verdict = judge.function(body);
        for (const leave of verdict.leaves) context.report({ node: leave, messageId: "early" });
        if (!verdict.proves && verdict.leaves.length === 0) context.report({ node: node.callee, messageId: "nothing" });
      },
    };
  },
};

class Judge {
  #context;
  #books;
  #provers;
  /** Verdicts on functions; one that is still open counts as no proof, which ends recursion. */
  #known = new Map();

  constructor(context, books, provers) {
    this.#context = context;
    this.#books = books;
    this.#provers = provers;
  }

  function(node) {
    const known = this.#known.get(node);
    if (known !== undefined) return known;
    this.#known.set(node, { proves: false, leaves: [] });
    const leaves = [];
    const proves =
      node.body.type === "BlockStatement"
        ? this.#statements(node.body.body, leaves)
        : this.#expression(node.body, leaves);
    const verdict = { proves, leaves };
    this.#known.set(node, verdict);
    return verdict;
  }

  /** Whether the statements prove something; `leaves` takes each `return` before that. */
  #statements(statements, leaves) {
    let proven = false;
    for (const statement of statements) {
      // After the first proof a `return` does no harm.
      if (this.#statement(statement, proven ? [] : leaves)) proven = true;
    }
    return proven;
  }

  #statement(node, leaves) {
    switch (node.type) {
      case "BlockStatement":
        return this.#statements(node.body, leaves);
      case "ExpressionStatement":
        return this.#expression(node.expression, leaves);
      case "VariableDeclaration":
        return node.declarations.some(({ init }) => init !== null && this.#expression(init, leaves));
      case "ReturnStatement": {
        const proves = node.argument !== null && this.#expression(node.argument, leaves);
        if (!proves) leaves.push(node);
        return proves;
      }
      case "IfStatement": {
        const before = this.#expression(node.test, leaves);
        const then = this.#statement(node.consequent, before ? [] : leaves);
        const otherwise = node.alternate !== null && this.#statement(node.alternate, before ? [] : leaves);
        return before || (then && otherwise);
      }
      case "TryStatement": {
        const inside = this.#statement(node.block, leaves);
        return inside || (node.finalizer !== null && this.#statement(node.finalizer, leaves));
      }
      case "ForStatement":
      case "WhileStatement":
      case "DoWhileStatement":
        return this.#statement(node.body, leaves);
      case "ForOfStatement":
      case "ForInStatement":
        return this.#expression(node.right, leaves) || this.#statement(node.body, leaves);
      case "SwitchStatement":
        return (
          node.cases.some(({ test }) => test === null) &&
          node.cases.every(({ consequent }) => consequent.length === 0 || this.#statements(consequent, leaves))
        );
      default:
        return false;
    }
  }

  /** Whether evaluating the expression proves something. */
  #expression(node, leaves) {
    if (node === null || node === undefined || typeof node.type !== "string") return false;
    // A function expression alone proves nothing: nobody calls it.
    if (isFunction(node)) return false;
    if (node.type === "LogicalExpression") return this.#expression(node.left, leaves);
    if (node.type === "ConditionalExpression") {
      const branches = this.#expression(node.consequent, leaves) && this.#expression(node.alternate, leaves);
      return this.#expression(node.test, leaves) || branches;
    }
    if (node.type === "CallExpression" && this.#call(node, leaves)) return true;
    return this.#context.sourceCode.visitorKeys[node.type].some((key) => {
      const child = node[key];
      const children = Array.isArray(child) ? child : [child];
      return children.some((each) => this.#expression(each, leaves));
    });
  }

  #call(node, leaves) {
    const { callee } = node;
    const expectation = expectationOf(node);
    if (expectation !== undefined) return this.#isProof(node, expectation);
    const proving = node.arguments
      .filter(isFunction)
      .map((callback) => this.function(callback))
      .filter(({ proves }) => proves);
    // A callback's `return` does not leave the test.
    for (const verdict of proving) leaves.push(...verdict.leaves.filter(({ argument }) => argument === null));
    if (proving.length > 0) return true;
    const name = callee.type === "MemberExpression" ? callee.property.name : callee.name;
    if (this.#provers.has(name) || ASSERTION.test(name ?? "")) return true;
    if (callee.type !== "Identifier") return false;
    if (DISCLAIMERS.has(name)) return true;
    const own = this.#declared(callee);
    if (own === undefined) return false;
    const verdict = this.function(own);
    return verdict.proves && verdict.leaves.length === 0;
  }

  /** A matcher call: not on a book of ours, and not of an error of our own. */
  #isProof(matcher, expectation) {
    const [subject] = expectation.arguments;
    if (subject === undefined) return false;
    const property = subject.type === "MemberExpression" ? subject.property.name : undefined;
    if (property !== undefined && this.#books.has(property)) return false;
    return !matcher.arguments.some(
      (argument) =>
        argument.type === "CallExpression" &&
        argument.callee.name === "errorWithCode" &&
        OWN_ERROR.test(String(argument.arguments[0]?.value ?? "")),
    );
  }

  /** The function of this file that the name stands for. */
  #declared(identifier) {
    for (let scope = this.#context.sourceCode.getScope(identifier); scope !== null; scope = scope.upper) {
      const variable = scope.set.get(identifier.name);
      if (variable === undefined) continue;
      const [definition] = variable.defs;
      if (definition?.type === "FunctionName") return definition.node;
      const init = definition?.type === "Variable" ? definition.node.init : undefined;
      return init !== undefined && init !== null && isFunction(init) ? init : undefined;
    }
    return undefined;
  }
}

/** `it(…)`, `it.only(…)`, `it.each(…)(…)` */
function isTest({ callee }) {
  let root = callee;
  while (root.type === "MemberExpression" || root.type === "CallExpression") {
    root = root.type === "MemberExpression" ? root.object : root.callee;
  }
  return root.type === "Identifier" && TESTS.has(root.name);
}

/** The `expect(…)` under a matcher call such as `expect(x).not.toBe(1)` or `expect(p).resolves.toBe(1)`. */
function expectationOf({ callee }) {
  let object = callee.type === "MemberExpression" ? callee.object : undefined;
  while (object?.type === "MemberExpression") object = object.object;
  return object?.type === "CallExpression" && object.callee.name === "expect" ? object : undefined;
}

function isFunction({ type }) {
  return type === "ArrowFunctionExpression" || type === "FunctionExpression" || type === "FunctionDeclaration";
}
