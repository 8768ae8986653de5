import { VfioError } from "@vfio-selftests/core";
import { argumentError, checkInteger, closedError, systemError } from "@vfio-selftests/core/errors";
import {
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC,
  IOMMU_PGFAULT_PERM_PRIV,
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_PGFAULT_PERM_WRITE,
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
  iommu_fault_alloc,
  iommu_hwpt_page_response,
  iommu_hwpt_pgfault,
} from "@vfio-selftests/core/uapi";
import { destroyObject, realCalls, type ObjectCalls } from "./object-calls";

/** A device asks for a page that is not mapped (struct iommu_hwpt_pgfault). */
export interface PageRequest {
  /** iommufd's id of the device. */
  readonly deviceId: number;
  /** Undefined for a request without PASID. */
  readonly pasid: number | undefined;
  /** The device's number for the requests that are answered together. */
  readonly group: number;
  readonly lastOfGroup: boolean;
  /** What the device wants to do at the address. */
  readonly read: boolean;
  readonly write: boolean;
  readonly execute: boolean;
  readonly privileged: boolean;
  /** I/O virtual address. */
  readonly address: bigint;
  /** Names the group in the answer; valid until answered or until the device leaves the page table. */
  readonly cookie: number;
}

/** `success`: the page is there now, the device tries again; `invalid`: the access fails. */
export type PageAnswer = "success" | "invalid";

const ANSWER_CODES: Readonly<Record<PageAnswer, number>> = {
  success: IOMMUFD_PAGE_RESP_SUCCESS,
  invalid: IOMMUFD_PAGE_RESP_INVALID,
};

/** Requests that one read takes at most. The kernel hands out whole groups only. */
const REQUESTS_PER_READ = 64;
const LONGEST_WAIT_MS = 60_000;
const POLLIN = 1;

/**
 * Where iommufd puts the page requests (I/O page faults) of devices that are attached to the page tables made with this
 * queue. Close those page tables first.
 */
export class FaultQueue implements Disposable {
  #closed = false;

  /** A new queue of the iommufd. */
  static allocate(iommufd: number, calls: ObjectCalls = realCalls): FaultQueue {
    const { size, out_fault_id, out_fault_fd } = iommu_fault_alloc.fields;
    const view = iommu_fault_alloc.allocate();
    size.set(view, iommu_fault_alloc.size);
    const result = calls.ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, view.bytes);
    if (result < 0) {
      throw systemError(result, "IOMMU_FAULT_QUEUE_ALLOC", {
        subject: "/dev/iommu",
        remedy: "use a kernel from 6.11 on with an IOMMU driver that reports page requests (CONFIG_IOMMU_IOPF)",
      });
    }
    return new FaultQueue(iommufd, out_fault_id.get(view), out_fault_fd.get(view), calls);
  }

  private constructor(
    private readonly iommufd: number,
    readonly id: number,
    readonly fd: number,
    private readonly calls: ObjectCalls,
  ) {}

  get closed(): boolean {
    return this.#closed;
  }

  /** The requests that are there now; empty when there are none. */
  read(): PageRequest[] {
    this.#requireOpen("read");
    const bytes = new Uint8Array(REQUESTS_PER_READ * iommu_hwpt_pgfault.size);
    const length = this.calls.read(this.fd, bytes);
    if (length < 0) throw systemError(length, "read", { subject: this.#name });
    return decodePageRequests(bytes.subarray(0, length));
  }

  /** Waits for at least one request. Throws ETIMEDOUT; `timeoutMs` 0 to 60000. */
  wait({ timeoutMs = 5000 }: { timeoutMs?: number } = {}): PageRequest[] {
    this.#requireOpen("wait");
    checkInteger("FaultQueue.wait", "timeoutMs", timeoutMs, 0, LONGEST_WAIT_MS);
    const ready = this.calls.pollBlocking(this.fd, POLLIN, timeoutMs);
    if (ready < 0) throw systemError(ready, "poll", { subject: this.#name });
    const requests = this.read();
    if (requests.length > 0) return requests;
    throw new VfioError(`no page request came within ${timeoutMs} ms`, {
      code: "ETIMEDOUT",
      operation: "FaultQueue.wait",
      subject: this.#name,
      remedy: "check that the device is attached to a page table that was made with this fault queue",
    });
  }

  /** Answers the group of requests with this cookie. Throws EINVAL for a cookie that is not, or no longer, open. */
  respond(cookie: number, answer: PageAnswer): void {
    this.#requireOpen("respond");
    const code = ANSWER_CODES[answer] as number | undefined;
    if (code === undefined) throw argumentError("respond", "answer", answer, Object.keys(ANSWER_CODES).join(", "));
    const view = iommu_hwpt_page_response.allocate();
    iommu_hwpt_page_response.fields.cookie.set(view, cookie);
    iommu_hwpt_page_response.fields.code.set(view, code);
    const result = this.calls.write(this.fd, view.bytes);
    if (result < 0) {
      throw systemError(result, "write", {
        subject: `${this.#name}, cookie ${cookie}`,
        remedy: "answer each cookie once, before its device leaves the page table",
      });
    }
  }

  /** Closes the file and destroys the queue; idempotent. Throws EBUSY while a page table uses it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.calls.close(this.fd);
    destroyObject(this.calls, this.iommufd, this.id, "fault queue");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  get #name(): string {
    return `fault queue ${this.id}`;
  }

  #requireOpen(operation: string): void {
    if (this.#closed) throw closedError(`FaultQueue.${operation}`, this.#name);
  }
}

/** What a read of the queue's file gave: whole structures, one after the other. */
export function decodePageRequests(bytes: Uint8Array): PageRequest[] {
  const { flags, dev_id, pasid, grpid, perm, addr, cookie } = iommu_hwpt_pgfault.fields;
  return Array.from({ length: Math.floor(bytes.length / iommu_hwpt_pgfault.size) }, (_, number) => {
    const view = iommu_hwpt_pgfault.copyOf(bytes, number * iommu_hwpt_pgfault.size);
    const has = (field: typeof flags, bit: number) => (field.get(view) & bit) !== 0;
    return {
      deviceId: dev_id.get(view),
      pasid: has(flags, IOMMU_PGFAULT_FLAGS_PASID_VALID) ? pasid.get(view) : undefined,
      group: grpid.get(view),
      lastOfGroup: has(flags, IOMMU_PGFAULT_FLAGS_LAST_PAGE),
      read: has(perm, IOMMU_PGFAULT_PERM_READ),
      write: has(perm, IOMMU_PGFAULT_PERM_WRITE),
      execute: has(perm, IOMMU_PGFAULT_PERM_EXEC),
      privileged: has(perm, IOMMU_PGFAULT_PERM_PRIV),
      address: addr.get(view),
      cookie: cookie.get(view),
    };
  });
}
