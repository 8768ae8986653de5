import fc from "fast-check";
import { Errno } from "@vfio-selftests/core/errors";
import {
  iommu_hwpt_page_response,
  iommu_hwpt_pgfault,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC,
  IOMMU_PGFAULT_PERM_WRITE,
} from "@vfio-selftests/core/uapi";
import { KernelFile } from "../kernel/kernel-file";
import { FakeFaultQueue } from "../testing/fake-iommufd";
import { FakeKernel } from "../testing/fake-kernel";
import { decodePageRequests, FaultQueue } from "./fault-queue";

let kernel: FakeKernel;
let file: KernelFile;
let queue: FaultQueue;
let fake: FakeFaultQueue;
beforeEach(() => {
  kernel = new FakeKernel();
  file = KernelFile.open(kernel.environment, kernel.environment.paths.dev("iommu"));
  queue = FaultQueue.allocate(file);
  fake = [...kernel.files.values()].find((open) => open instanceof FakeFaultQueue) as FakeFaultQueue;
});
afterEach(() => {
  file.close();
  kernel[Symbol.dispose]();
});

function request(address: bigint, cookie: number, flags = IOMMU_PGFAULT_FLAGS_LAST_PAGE): Uint8Array {
  const { fields } = iommu_hwpt_pgfault;
  const view = iommu_hwpt_pgfault.allocate();
  fields.flags.set(view, flags);
  fields.dev_id.set(view, 7);
  fields.pasid.set(view, 42);
  fields.grpid.set(view, 2);
  fields.perm.set(view, IOMMU_PGFAULT_PERM_WRITE | IOMMU_PGFAULT_PERM_EXEC);
  fields.addr.set(view, address);
  fields.cookie.set(view, cookie);
  return view.bytes;
}

it("hands out requests as the kernel tells them, and answers them", () => {
  fake.pending = Buffer.concat([request(0x1000n, 1), request(2n ** 63n, 2, IOMMU_PGFAULT_FLAGS_PASID_VALID)]);
  const [first, second] = queue.waitSync({ timeoutMs: 0 });
  expect(first).toEqual({
    deviceId: 7,
    pasid: undefined,
    group: 2,
    lastOfGroup: true,
    read: false,
    write: true,
    execute: true,
    privileged: false,
    address: 0x1000n,
    cookie: 1,
  });
  expect(second).toMatchObject({ pasid: 42, lastOfGroup: false, address: 2n ** 63n, cookie: 2 });
  queue.respond(2, "success");
  queue.respond(1, "invalid");
  expect(iommu_hwpt_page_response.size).toBe(8);
  expect(fake.answers).toEqual([
    [2, 0],
    [1, 1],
  ]);
});

it("says that nothing came, and what to look at", () => {
  expect(queue.read()).toEqual([]);
  expect(() => queue.waitSync({ timeoutMs: 0 })).toThrow(expect.objectContaining({ code: "ETIMEDOUT" }) as Error);
  expect(() => queue.waitSync({ timeoutMs: 60_001 })).toThrow(
    "timeoutMs is 60001; allowed: an integer from 0 to 60000",
  );
});

it("can be awaited, until a request, a signal, a time-out or its end", async () => {
  const coming = queue.wait();
  await expect(queue.wait()).rejects.toMatchObject({ code: "EBUSY" });
  fake.pending = request(0x1000n, 1);
  fake.arrived?.(1);
  await expect(coming).resolves.toMatchObject([{ cookie: 1 }]);

  const reason = new Error("enough");
  const controller = new AbortController();
  const aborted = queue.wait({ signal: controller.signal });
  controller.abort(reason);
  await expect(aborted).rejects.toBe(reason);
  await expect(queue.wait({ timeoutMs: 0 })).rejects.toMatchObject({
    code: "ETIMEDOUT",
    message: expect.stringContaining("no page request came within 0 ms") as string,
  });
  const waiting = queue.wait();
  queue.close();
  await expect(waiting).rejects.toMatchObject({ code: "ERR_CLOSED" });
  await expect(queue.wait()).rejects.toMatchObject({ code: "ERR_CLOSED" });
});

it("tells which answer the kernel refused", () => {
  fake.answerResult = -Errno.EINVAL;
  expect(() => queue.respond(4, "success")).toThrow(/write failed on fault queue 1, cookie 4: EINVAL/);
  expect(() => queue.respond(4, "maybe" as "success")).toThrow('answer is "maybe"; allowed: success, invalid');
});

it("is closed once, its file before the queue", () => {
  queue.close();
  queue.close();
  expect(kernel.requests.filter((made) => made === "iommufd 0x3b80")).toHaveLength(1);
  expect(kernel.kinds()).toEqual(["iommufd"]);
  expect(() => queue.read()).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
});

it("says what to close first when it is in use, is of no more use then, and can be closed again", () => {
  kernel.failures.set("3b80", Errno.EBUSY);
  for (let attempt = 0; attempt < 2; attempt++) {
    expect(() => queue.close()).toThrow(
      /IOMMU_DESTROY failed on fault queue 1: EBUSY[^]*page tables before fault queues/,
    );
    expect(() => queue.read()).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
  }
  kernel.failures.clear();
  queue.close();
  expect(queue.closed).toBe(true);
});

it("goes with its iommufd, which its file would keep", () => {
  file.close();
  expect(kernel.kinds()).toEqual([]);
  expect(queue.closed).toBe(true);
  queue.close();
});

it("decodes any bytes into whole requests", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decodePageRequests(bytes)).toHaveLength(Math.floor(bytes.length / 40));
    }),
  );
});
