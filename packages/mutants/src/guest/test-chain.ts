import { identify } from "@vfio-selftests/harness";
import { type CircusBlock, type CircusTest, testsUnder, titlesOf } from "@vfio-selftests/harness/jest";

/** A test alone with the blocks around it, to be run once more. */
export interface TestChain {
  readonly test: CircusTest;
  /** From the outermost to the one that holds the test; the root is not among them. */
  readonly blocks: readonly CircusBlock[];
}

/** The tests of a file by their ids. */
export function testsById(root: CircusBlock): Map<string, CircusTest> {
  return new Map([...testsUnder(root)].map((test) => [identify(titlesOf(test)).id, test]));
}

/** Adds the test to the root once more, alone in its blocks: their hooks run around it. */
export function addChain(root: CircusBlock, original: CircusTest): TestChain {
  const originals: CircusBlock[] = [];
  for (let at = original.parent; at?.parent !== undefined; at = at.parent) originals.unshift(at);
  let parent = root;
  const blocks: CircusBlock[] = [];
  for (const block of originals) {
    const clone: CircusBlock = { ...block, parent, children: [] };
    parent.children.push(clone);
    blocks.push(clone);
    parent = clone;
  }
  const test: CircusTest = { ...original, parent, errors: [] };
  parent.children.push(test);
  return { test, blocks };
}

/** Neither the test runs then, nor the hooks around it. */
export function leaveOut({ test, blocks }: TestChain): void {
  for (const block of blocks) block.mode = "skip";
  test.mode = "skip";
}
