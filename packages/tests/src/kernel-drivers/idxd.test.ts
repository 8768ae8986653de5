import { dsaDriver } from "@vfio-selftests/driver-dsa";
import { CHANNEL_TIMEOUT_MS, channelOf, dmatest, DMATEST_TIMEOUT_MS } from "./dmatest";
import { DsaWorkQueue } from "./dsa-work-queue";
import { copyThroughVfio, kernelDriverFixture } from "./kernel-driver";

const COPIES = 10_000;
const COPIES_AFTER_A_DISABLE = 500;
/** As with ioatdma. */
const BUFFER_BYTES = 4096;
jest.setTimeout(CHANNEL_TIMEOUT_MS + DMATEST_TIMEOUT_MS + 60_000);

/**
 * The kernel's own driver, which takes the model for silicon. Queues of type "user" need shared virtual addresses, for
 * which vfio-user has no messages (docs/more-tests.md).
 */
const IDXD = {
  name: "idxd",
  id: "0x8086:0x0b25",
  option: "CONFIG_INTEL_IDXD, and MOVDIR64B or the lab's patch",
} as const;

async function copy(address: string, copies: number): Promise<void> {
  const channel = await channelOf(address, CHANNEL_TIMEOUT_MS);
  const result = await dmatest(channel, { copies, bufferBytes: BUFFER_BYTES, timeoutMs: DMATEST_TIMEOUT_MS });
  expect(result).toEqual({ tests: copies, failures: 0, complaints: [] });
}

kernelDriverFixture(IDXD, (address, owner) => {
  it("copies_10000_times_for_dmatest", async () => {
    using queue = new DsaWorkQueue(address);
    expect(queue.state).toBe("enabled");
    await copy(address, COPIES);
  });

  it("copies_again_after_queue_and_device_were_disabled", async () => {
    using queue = new DsaWorkQueue(address);
    await copy(address, COPIES_AFTER_A_DISABLE);
    queue.disable();
    expect(queue.state).toBe("disabled");
    queue.enable();
    expect(queue.state).toBe("enabled");
    await copy(address, COPIES_AFTER_A_DISABLE);
  });

  it("leaves_a_device_that_copies_for_vfio", () => {
    using queue = new DsaWorkQueue(address);
    queue.disable();
    copyThroughVfio(owner(), dsaDriver);
  });
});
