import { ioatDriver } from "@vfio-selftests/driver-ioat";
import { CHANNEL_TIMEOUT_MS, channelOf, dmatest, DMATEST_TIMEOUT_MS } from "./dmatest";
import { copyThroughVfio, kernelDriverFixture } from "./kernel-driver";

const COPIES = 10_000;
/** dmatest's default of 16 KiB takes four times as long to compare, and finds nothing more in a model. */
const BUFFER_BYTES = 4096;
jest.setTimeout(CHANNEL_TIMEOUT_MS + DMATEST_TIMEOUT_MS + 60_000);

/** The kernel's own driver, which takes the model for silicon. Its probe runs a self-test, without which it gives up. */
const IOATDMA = { name: "ioatdma", id: "0x8086:0x2021", option: "CONFIG_INTEL_IOATDMA" } as const;

kernelDriverFixture(IOATDMA, (address, owner) => {
  it("copies_10000_times_for_dmatest", async () => {
    const channel = await channelOf(address, CHANNEL_TIMEOUT_MS);
    const work = { copies: COPIES, bufferBytes: BUFFER_BYTES, timeoutMs: DMATEST_TIMEOUT_MS };
    expect(await dmatest(channel, work)).toEqual({ tests: COPIES, failures: 0, complaints: [] });
  });

  it("leaves_a_device_that_copies_for_vfio", () => {
    copyThroughVfio(owner(), ioatDriver);
  });
});
