/** What we use of jest-circus' records (its `Circus.DescribeBlock`, `Circus.TestEntry` and `Circus.Event`). */
export interface CircusBlock {
  /** Distinguishes it from a test. */
  readonly type: "describeBlock";
  /** The title. */
  readonly name: string;
  /** The enclosing block; absent for the root. */
  readonly parent?: CircusBlock;
  /** Blocks and tests, in the order of the file. */
  readonly children: (CircusBlock | CircusTest)[];
  /** `skip`, `only`, …; null or absent: it runs. */
  mode?: string | null;
}

/** A test, as jest-circus hands it to environments. */
export interface CircusTest {
  /** Distinguishes it from a block. */
  readonly type: "test";
  /** The title. */
  readonly name: string;
  /** The enclosing block. */
  readonly parent?: CircusBlock;
  /** Milliseconds; undefined: the file's limit. */
  timeout?: number | undefined;
  /** `skip`, `only`, `todo`, …; null or absent: it runs. */
  mode?: string | null;
  /** What was thrown until now. */
  errors: unknown[];
  /** `done`, `skip` or `todo`, once it has ended. */
  status?: string | null;
}

/** An event of jest-circus. Only the fields that the environment reads are here. */
export interface CircusEvent {
  /** The event's name: `test_start`. */
  readonly name: string;
  /** The test that it is about, if any. */
  readonly test?: CircusTest;
  /** What a test or hook threw. */
  readonly error?: unknown;
  /** Of `run_describe_start` and `run_describe_finish`, and of the end of a block's hook. */
  readonly describeBlock?: CircusBlock;
}

/** The state of jest-circus. Only the fields that the environment reads are here. */
export interface CircusState {
  /** The block that holds all others. */
  readonly rootDescribeBlock: CircusBlock;
  /** Milliseconds of a test that has no limit of its own. */
  readonly testTimeout: number;
}

/** The tests of a block and of all blocks in it, in their order. */
export function* testsUnder(block: CircusBlock): Generator<CircusTest> {
  for (const child of block.children) {
    if (child.type === "test") yield child;
    else yield* testsUnder(child);
  }
}

/** Titles from the outermost describe to the test; jest-circus' own root block has no parent. */
export function titlesOf(test: CircusTest): string[] {
  const names = [test.name];
  for (let at = test.parent; at?.parent !== undefined; at = at.parent) names.unshift(at.name);
  return names;
}

/** A copy of the block, with tests of its own that have not run. It shares the original's hooks and functions. */
export function cloneBlock(block: CircusBlock, parent: CircusBlock): CircusBlock {
  const clone: CircusBlock = { ...block, parent, children: [] };
  for (const child of block.children) clone.children.push(cloneChild(child, clone));
  return clone;
}

export function cloneChild(child: CircusBlock | CircusTest, parent: CircusBlock): CircusBlock | CircusTest {
  return child.type === "test" ? { ...child, parent, errors: [] } : cloneBlock(child, parent);
}

/** Adds an error that shows only its message. jest would otherwise show the stack of this place. */
export function addFailure(test: CircusTest, message: string): void {
  test.errors.push([Object.assign(new Error(message), { stack: message }), undefined]);
}
