import { type AsyncWaitOptions, VfioError, type WaitOptions } from "@vfio-selftests/core";
import { FileReadiness } from "@vfio-selftests/core/backend";
import { DEFAULT_WAIT_MS } from "@vfio-selftests/core/driver";
import { argumentError, checkInteger, Errno, systemError } from "@vfio-selftests/core/errors";
import {
  iommu_hwpt_page_response,
  iommu_hwpt_pgfault,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC,
  IOMMU_PGFAULT_PERM_PRIV,
  IOMMU_PGFAULT_PERM_READ,
  IOMMU_PGFAULT_PERM_WRITE,
  IOMMUFD_PAGE_RESP_INVALID,
  IOMMUFD_PAGE_RESP_SUCCESS,
} from "@vfio-selftests/core/uapi";
import { encodeIoctl } from "../kernel/ioctl";
import { KernelFile } from "../kernel/kernel-file";
import { faultQueueAlloc } from "../requests/iommufd";
import { IommufdObject } from "./iommufd-object";

/** A device asks for a page that is not mapped (struct iommu_hwpt_pgfault). */
export interface PageRequest {
  /** iommufd's id of the device. */
  readonly deviceId: number;
  /** Undefined for a request without PASID. */
  readonly pasid: number | undefined;
  /** The device's number for requests that get one common answer. */
  readonly group: number;
  /** Whether it is the last request of its group. */
  readonly lastOfGroup: boolean;
  /** What the device wants to do at the address. */
  readonly read: boolean;
  /** See `read`. */
  readonly write: boolean;
  /** See `read`. */
  readonly execute: boolean;
  /** Whether the access has supervisor rights. */
  readonly privileged: boolean;
  /** I/O virtual address. */
  readonly address: bigint;
  /** Names the group in the answer. Valid until the answer, or until the device leaves the page table. */
  readonly cookie: number;
}

/** `success`: the page is there now, and the device tries again. `invalid`: the access fails. */
export type PageAnswer = "success" | "invalid";

const ANSWER_CODES: Readonly<Record<PageAnswer, number>> = {
  success: IOMMUFD_PAGE_RESP_SUCCESS,
  invalid: IOMMUFD_PAGE_RESP_INVALID,
};

/** The most requests that one read takes. The kernel hands out whole groups only. */
const REQUESTS_PER_READ = 64;
const LONGEST_WAIT_MS = 60_000;
const POLLIN = 1;

/**
 * Receives the page requests (I/O page faults) of devices on the page tables made with this queue. Close those page
 * tables first.
 */
export class FaultQueue extends IommufdObject {
  readonly #file: KernelFile;
  readonly #readiness: FileReadiness;
  readonly #release: () => void;

  /** A new queue of the iommufd. */
  static allocate(iommufd: KernelFile): FaultQueue {
    const request = encodeIoctl(faultQueueAlloc);
    const result = iommufd.attempt(request);
    if (result < 0) {
      throw systemError(result, request.name, {
        subject: iommufd.name,
        remedy: "use a kernel from 6.11 on with an IOMMU driver that reports page requests (CONFIG_IOMMU_IOPF)",
      });
    }
    const { id, descriptor } = faultQueueAlloc.answer(request.view);
    return new FaultQueue(iommufd, id, new KernelFile(iommufd.kernel, descriptor, `fault queue ${id}`));
  }

  private constructor(iommufd: KernelFile, id: number, file: KernelFile) {
    super(iommufd, id, "fault queue");
    this.#file = file;
    this.#readiness = new FileReadiness((operation) => file.descriptor(operation), {
      label: this.name,
      timeOut: (operation, timeoutMs) => this.#timeOut(operation, timeoutMs),
      createPoller: iommufd.kernel.calls.createPoller,
    });
    file.adopt(this.#readiness);
    // The queue's file holds the iommufd. Left open, it would keep the address space and its devices.
    this.#release = iommufd.adopt(file);
  }

  /** The requests that are there now, possibly none. */
  read(): PageRequest[] {
    const bytes = new Uint8Array(REQUESTS_PER_READ * iommu_hwpt_pgfault.size);
    const length = this.#file.kernel.calls.read(this.#file.descriptor("FaultQueue.read"), bytes);
    if (length < 0) throw systemError(length, "read", { subject: this.name });
    return decodePageRequests(bytes.subarray(0, length));
  }

  /**
   * Waits on the event loop for at least one request. Only one wait may be under way. Rejects with `ETIMEDOUT`, with
   * the signal's reason, or with `ERR_CLOSED` when closed meanwhile.
   */
  wait(options: AsyncWaitOptions = {}): Promise<PageRequest[]> {
    return this.#readiness.until("FaultQueue.wait", { take: this.#take }, options);
  }

  /** Blocks the thread until there is at least one request. Throws ETIMEDOUT. `timeoutMs` is 0 to 60000. */
  waitSync({ timeoutMs = DEFAULT_WAIT_MS }: WaitOptions = {}): PageRequest[] {
    const operation = "FaultQueue.waitSync";
    checkInteger(operation, "timeoutMs", timeoutMs, 0, LONGEST_WAIT_MS);
    const ready = this.#file.kernel.calls.pollBlocking(this.#file.descriptor(operation), POLLIN, timeoutMs);
    if (ready < 0) throw systemError(ready, "poll", { subject: this.name });
    const requests = this.#take();
    if (requests === undefined) throw this.#timeOut(operation, timeoutMs);
    return requests;
  }

  /** Answers the group of requests with this cookie. Throws EINVAL for a cookie that is not open, or no longer. */
  respond(cookie: number, answer: PageAnswer): void {
    const code = ANSWER_CODES[answer] as number | undefined;
    if (code === undefined) throw argumentError("respond", "answer", answer, Object.keys(ANSWER_CODES).join(", "));
    const view = iommu_hwpt_page_response.allocate();
    iommu_hwpt_page_response.fields.cookie.set(view, cookie);
    iommu_hwpt_page_response.fields.code.set(view, code);
    const result = this.#file.kernel.calls.write(this.#file.descriptor("FaultQueue.respond"), view.bytes);
    if (result < 0) {
      throw systemError(result, "write", {
        subject: `${this.name}, cookie ${cookie}`,
        remedy: "answer each cookie once, before its device leaves the page table",
      });
    }
  }

  /**
   * Closes the file, which ends all use of the queue, and destroys the queue. Throws EBUSY while a page table uses the
   * queue; repeat it then. Idempotent once it has succeeded.
   */
  override close(): void {
    this.#release();
    this.#file.close();
    super.close();
  }

  readonly #take = (): PageRequest[] | undefined => {
    const requests = this.read();
    return requests.length > 0 ? requests : undefined;
  };

  #timeOut(operation: string, timeoutMs: number): VfioError {
    return new VfioError(`no page request came within ${timeoutMs} ms`, {
      code: "ETIMEDOUT",
      errno: Errno.ETIMEDOUT,
      operation,
      subject: this.name,
      remedy: "check that the device is attached to a page table that was made with this fault queue",
    });
  }
}

/** Decodes a read of the queue's file: whole structures, one after the other. */
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
