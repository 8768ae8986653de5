import type { IommuMode } from "@vfio-selftests/core";
import { DriverRegistry } from "@vfio-selftests/core/driver";
import { systemError } from "@vfio-selftests/core/errors";
import { FakeIommuBackend, FakeVfioDevice } from "@vfio-selftests/core/testing";
import { native } from "@vfio-selftests/native";
import type * as AddressSpaceModule from "../../dma/address-space";
import type * as DmaMappingModule from "../../dma/dma-mapping";
import type * as DmaPatternsModule from "../../dma/dma-patterns";
import type { Suite } from "../../suite-target";

type AddressSpace = typeof AddressSpaceModule;
type DmaMapping = typeof DmaMappingModule;
type DmaPatterns = typeof DmaPatternsModule;

/** The page size of an arm64 kernel with large pages, in bytes. */
const PAGE_SIZE = 64 * 1024;
const EINVAL = -22;

interface Request {
  readonly test: string;
  readonly iova: bigint;
  readonly length: number;
}

let running = "";
let requests: Request[] = [];

/** Refuses a map that does not begin and end on a page's boundary, as such a kernel does. */
class LargePageBackend extends FakeIommuBackend {
  override map(...[memory, offset, length, iova = 0n, access]: Parameters<FakeIommuBackend["map"]>): bigint {
    requests.push({ test: running, iova, length });
    if (iova % BigInt(PAGE_SIZE) !== 0n || length % PAGE_SIZE !== 0) throw systemError(EINVAL, "map");
    return super.map(memory, offset, length, iova, access);
  }

  override pageSizes(): bigint {
    return BigInt(PAGE_SIZE);
  }
}

const mode: IommuMode = {
  name: "fake",
  description: "address spaces in memory",
  traits: { api: "user", mapsRegisters: false, splitsMappings: false, choosesIova: false },
  availability: () => ({ available: true }),
  resolve: () => mode,
  open: () => new LargePageBackend(() => new FakeVfioDevice()),
};

/** Runs each test of a suite and ignores its outcome, because a fake lacks much that the tests need. */
async function runTests(suite: Suite): Promise<void> {
  const tests: [string, () => unknown][] = [];
  const stubs = {
    describe: (_title: string, define: () => void) => define(),
    it: (title: string, body: () => unknown) => void tests.push([title, body]),
    beforeEach: () => undefined,
  };
  const originals = { describe, it, beforeEach };
  Object.assign(globalThis, stubs);
  suite({ kind: "hardware", modes: [mode], devices: ["0000:01:00.0"], drivers: new DriverRegistry() });
  Object.assign(globalThis, originals);
  for (const [title, body] of tests) {
    running = title;
    await Promise.resolve()
      .then(body)
      .catch(() => undefined);
  }
}

beforeEach(() => {
  requests = [];
  jest.spyOn(native, "pageSize").mockReturnValue(PAGE_SIZE);
});

// The suites load after the page size has changed.
const SUITES: readonly [string, () => Suite][] = [
  ["address-space", () => jest.requireActual<AddressSpace>("../../dma/address-space").addressSpaceSuite],
  ["dma-mapping", () => jest.requireActual<DmaMapping>("../../dma/dma-mapping").dmaMappingSuite],
  ["dma-patterns", () => jest.requireActual<DmaPatterns>("../../dma/dma-patterns").dmaPatternsSuite],
];

test.each(SUITES)("%s maps whole pages where a page has 64 KiB", async (_, load) => {
  await runTests(load());
  const broken = requests.filter(({ iova, length }) => iova % BigInt(PAGE_SIZE) !== 0n || length % PAGE_SIZE !== 0);
  // One test asks for an address between two pages.
  expect(broken.filter(({ test }) => test !== "misaligned_map_is_refused")).toEqual([]);
  expect(requests.length).toBeGreaterThan(broken.length);
});
