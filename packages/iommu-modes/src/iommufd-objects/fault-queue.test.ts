import { Errno } from "@vfio-selftests/core/errors";
import {
  IOMMU_DESTROY,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC,
  IOMMU_PGFAULT_PERM_WRITE,
  iommu_fault_alloc,
  iommu_hwpt_page_response,
  iommu_hwpt_pgfault,
} from "@vfio-selftests/core/uapi";
import fc from "fast-check";
import { FaultQueue, decodePageRequests } from "./fault-queue";
import type { ObjectCalls } from "./object-calls";

const IOMMUFD = 5;
const QUEUE_FD = 9;
const QUEUE_ID = 3;

/** An iommufd with one fault queue. */
class FakeQueue {
  pending: Uint8Array = new Uint8Array(0);
  readonly answers: number[][] = [];
  readonly events: string[] = [];
  answerResult: number | undefined;
  destroyResult = 0;

  readonly calls: ObjectCalls = {
    ioctl: (fd, request, argument) => {
      this.events.push(`ioctl ${fd} 0x${request.toString(16)}`);
      if (request === IOMMU_DESTROY) return this.destroyResult;
      const words = new Uint32Array((argument as Uint8Array).buffer);
      words[iommu_fault_alloc.fields.out_fault_id.offset / 4] = QUEUE_ID;
      words[iommu_fault_alloc.fields.out_fault_fd.offset / 4] = QUEUE_FD;
      return 0;
    },
    close: (fd) => this.events.push(`close ${fd}`),
    read: (_fd, into) => {
      const length = Math.min(this.pending.length, into.length);
      into.set(this.pending.subarray(0, length));
      this.pending = this.pending.subarray(length);
      return length;
    },
    write: (_fd, from) => {
      if (this.answerResult !== undefined) return this.answerResult;
      this.answers.push([...new Uint32Array(from.slice().buffer)]);
      return from.length;
    },
    pollBlocking: () => (this.pending.length > 0 ? 1 : 0),
  };
}

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
  const fake = new FakeQueue();
  using queue = FaultQueue.allocate(IOMMUFD, fake.calls);
  fake.pending = Buffer.concat([request(0x1000n, 1), request(2n ** 63n, 2, IOMMU_PGFAULT_FLAGS_PASID_VALID)]);
  const [first, second] = queue.wait({ timeoutMs: 0 });
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
  using queue = FaultQueue.allocate(IOMMUFD, new FakeQueue().calls);
  expect(queue.read()).toEqual([]);
  expect(() => queue.wait({ timeoutMs: 0 })).toThrow(expect.objectContaining({ code: "ETIMEDOUT" }) as Error);
  expect(() => queue.wait({ timeoutMs: 60_001 })).toThrow("timeoutMs is 60001; allowed: an integer from 0 to 60000");
});

it("tells which answer the kernel refused", () => {
  const fake = new FakeQueue();
  using queue = FaultQueue.allocate(IOMMUFD, fake.calls);
  fake.answerResult = -Errno.EINVAL;
  expect(() => queue.respond(4, "success")).toThrow(/write failed on fault queue 3, cookie 4: EINVAL/);
  expect(() => queue.respond(4, "maybe" as "success")).toThrow('answer is "maybe"; allowed: success, invalid');
});

it("closes its file before it destroys the queue, once", () => {
  const fake = new FakeQueue();
  const queue = FaultQueue.allocate(IOMMUFD, fake.calls);
  queue.close();
  queue.close();
  expect(fake.events).toEqual([
    `ioctl ${IOMMUFD} 0x${IOMMU_FAULT_QUEUE_ALLOC.toString(16)}`,
    `close ${QUEUE_FD}`,
    `ioctl ${IOMMUFD} 0x${IOMMU_DESTROY.toString(16)}`,
  ]);
  expect(() => queue.read()).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }) as Error);
});

it("says what to close first when it is in use", () => {
  const fake = new FakeQueue();
  fake.destroyResult = -Errno.EBUSY;
  const queue = FaultQueue.allocate(IOMMUFD, fake.calls);
  expect(() => queue.close()).toThrow(
    /IOMMU_DESTROY failed on fault queue 3: EBUSY[^]*page tables before fault queues/,
  );
});

it("decodes any bytes into whole requests", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decodePageRequests(bytes)).toHaveLength(Math.floor(bytes.length / 40));
    }),
  );
});
