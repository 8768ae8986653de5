import fc from "fast-check";
import type { TestOutcome } from "@vfio-selftests/harness";
import { TapReader } from "./tap-reader";

function read(text: string, device?: string) {
  const started: string[] = [];
  const finished: TestOutcome[] = [];
  const events = {
    started: ({ id }: { id: string }) => void started.push(id),
    finished: (test: TestOutcome) => void finished.push(test),
  };
  const reader = new TapReader(events, device);
  for (const line of text.split("\n")) reader.read(line);
  return { reader, started, finished };
}

const OUTPUT = `TAP version 13
1..4
# Starting 4 tests from 3 test cases.
#  RUN           vfio_dma_map_limit_test.iommufd.overflow ...
#            OK  vfio_dma_map_limit_test.iommufd.overflow
ok 1 vfio_dma_map_limit_test.iommufd.overflow
#  RUN           vfio_cdev.bind ...
# device.c:40:bind:Expected 0 (0) == ret (-1)
# bind: Test terminated by assertion
#          FAIL  vfio_cdev.bind
not ok 2 vfio_cdev.bind
#  RUN           vfio_pci_irq_test.msi.enable_trigger_disable ...
#      SKIP      MSI not supported
#            OK  vfio_pci_irq_test.msi.enable_trigger_disable
ok 3 vfio_pci_irq_test.msi.enable_trigger_disable # SKIP MSI not supported
#  RUN           global.some ...
ok 4 global.some # XFAIL known
# FAILED: 3 / 4 tests passed.
# Totals: pass:2 fail:1 xfail:0 xpass:0 skip:1 error:0`;

test("the harness's output becomes outcomes with mode, reason and the failure's text", () => {
  const { reader, started, finished } = read(OUTPUT, "0000:01:00.0 (C suite)");
  expect(reader.planned).toBe(4);
  expect(started).toHaveLength(4);
  expect(finished.map(({ id, status }) => [id, status])).toEqual([
    ["vfio_dma_map_limit_test.iommufd.overflow", "passed"],
    ["vfio_cdev.bind", "failed"],
    ["vfio_pci_irq_test.msi.enable_trigger_disable", "skipped"],
    ["global.some", "passed"],
  ]);
  expect(finished[0]).toMatchObject({ mode: "iommufd", device: "0000:01:00.0 (C suite)" });
  expect(finished[1]?.failures).toEqual([
    "device.c:40:bind:Expected 0 (0) == ret (-1)\nbind: Test terminated by assertion",
  ]);
  expect(finished[2]?.skip?.reason).toBe("MSI not supported");
});

test("a test's comments do not stick to the next test", () => {
  const { finished } = read("#  RUN  a.x ...\n# noise\nok 1 a.x\n#  RUN  a.y ...\nnot ok 2 a.y");
  expect(finished[1]?.failures).toEqual(["the program said no more"]);
});

test("a program that skips everything says why", () => {
  expect(read("TAP version 13\n1..0 # SKIP no device").reader).toMatchObject({ planned: 0, skippedAll: "no device" });
});

test("the reader takes any text without throwing", () => {
  fc.assert(fc.property(fc.string(), (text) => void read(text)));
});
