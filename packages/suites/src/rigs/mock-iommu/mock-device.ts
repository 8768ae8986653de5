import { release } from "node:os";
import type { Availability } from "@vfio-selftests/core";
import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { Errno, errnoName } from "@vfio-selftests/core/errors";
import { systemPaths } from "@vfio-selftests/core/sysfs";
import {
  IOMMU_IOAS_ALLOC,
  iommu_ioas_alloc,
  O_RDWR,
  type StructLayout,
  type StructView,
  type U32Field,
} from "@vfio-selftests/core/uapi";
import type { Iommufd } from "@vfio-selftests/iommu-modes";
import { iommufd as requests } from "@vfio-selftests/iommu-modes/requests";
import { native } from "@vfio-selftests/native";
import { isOlderThan } from "../kernel/brought-by-linux";
import {
  access_rw,
  check_map,
  create_access,
  IOMMU_TEST_CMD,
  IOMMU_TEST_OP_ACCESS_RW,
  IOMMU_TEST_OP_CREATE_ACCESS,
  IOMMU_TEST_OP_MD_CHECK_MAP,
  IOMMU_TEST_OP_MOCK_DOMAIN,
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  MOCK_ACCESS_RW_WRITE,
  mock_domain,
  mock_domain_replace,
  trigger_iopf,
} from "./test-command";

/**
 * The version whose mock IOMMU these tests know. It is the kernel's own and changes with the kernel's tests. Older ones are asked for a
 * device first.
 */
const OLDEST_MOCK = "7.3";

/** What a mock device asks a page for. */
interface MockPageRequest {
  readonly address: bigint;
  /** IOMMU_PGFAULT_PERM_* */
  readonly permissions: number;
  readonly group: number;
}

/**
 * The kernel's mock device behind its mock IOMMU, whose page tables only the kernel itself walks. The test makes the
 * device's page requests, and the kernel's own accesses to the IOAS stand for its DMA.
 */
export class MockDevice implements Disposable {
  /** iommufd's id of the device, as for a real one. */
  readonly id: number;
  readonly #iommufd: Iommufd;
  readonly #stdevId: number;
  #access: OwnedDescriptor | undefined;
  #closed = false;

  /** Whether this kernel has mock devices. */
  static availability(): Availability {
    const fd = native.open(systemPaths.dev("iommu"), O_RDWR);
    if (fd < 0) {
      return {
        available: false,
        reason: `cannot open /dev/iommu: ${errnoName(-fd)}`,
        remedy: "run as root on a kernel with CONFIG_IOMMUFD: vfio-selftests lab run",
      };
    }
    const view = mock_domain.allocate();
    mock_domain.fields.size.set(view, mock_domain.size);
    const result = native.ioctl(fd, IOMMU_TEST_CMD, view.bytes);
    const makesDevices = !isOlderThan(OLDEST_MOCK) || makesDevice(fd);
    native.close(fd);
    // Operation 0 does not exist: a kernel with the interface says EOPNOTSUPP, one without ENOTTY.
    if (result === -Errno.EOPNOTSUPP && makesDevices) return { available: true };
    if (result === -Errno.EOPNOTSUPP) {
      return {
        available: false,
        reason: `the mock IOMMU of Linux ${release()} makes no device as these tests ask for it`,
        remedy: `use Linux ${OLDEST_MOCK} or newer`,
      };
    }
    return {
      available: false,
      reason: "this kernel has no mock IOMMU device (CONFIG_IOMMUFD_TEST)",
      remedy: "use the lab's kernel: vfio-selftests lab run",
    };
  }

  /** Makes a device, attached to the IOAS. */
  constructor(iommufd: Iommufd) {
    this.#iommufd = iommufd;
    const view = this.#command(mock_domain, IOMMU_TEST_OP_MOCK_DOMAIN, iommufd.ioas.id);
    this.#run(view, "mock device");
    this.#stdevId = mock_domain.fields.out_stdev_id.get(view);
    this.id = mock_domain.fields.out_idev_id.get(view);
  }

  /** Moves the device to another page table or IOAS. */
  attach(pageTable: { readonly id: number }): void {
    const view = this.#command(mock_domain_replace, IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, this.#stdevId);
    mock_domain_replace.fields.pt_id.set(view, pageTable.id);
    this.#run(view, `attach to ${pageTable.id}`);
  }

  /** Makes the device ask for a page, as the last request of its group. */
  requestPage({ address, permissions, group }: MockPageRequest): void {
    const { dev_id, grpid, perm, addr } = trigger_iopf.fields;
    const view = this.#command(trigger_iopf, IOMMU_TEST_OP_TRIGGER_IOPF, 0);
    dev_id.set(view, this.id);
    grpid.set(view, group);
    perm.set(view, permissions);
    addr.set(view, address);
    this.#run(view, `page request at 0x${address.toString(16)}`);
  }

  /** Throws EINVAL unless the page table leads from the IOVAs to the pages at `address` of this process. */
  checkPageTable(pageTable: { readonly id: number }, iova: bigint, length: number, address: bigint): void {
    const fields = check_map.fields;
    const view = this.#command(check_map, IOMMU_TEST_OP_MD_CHECK_MAP, pageTable.id);
    fields.iova.set(view, iova);
    fields.length.setNumber(view, length);
    fields.uptr.set(view, address);
    this.#run(view, `page table ${pageTable.id} at 0x${iova.toString(16)}`);
  }

  /** Reads mapped memory through the IOAS. Throws ENOENT where nothing is mapped. */
  read(iova: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#transfer(iova, bytes, 0);
    return bytes;
  }

  /** Writes mapped memory through the IOAS. Throws ENOENT where nothing is mapped. */
  write(iova: bigint, bytes: Uint8Array): void {
    this.#transfer(iova, bytes, MOCK_ACCESS_RW_WRITE);
  }

  /** Destroys the device, which detaches it; idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#access?.close();
    this.#iommufd.file.ask(requests.destroy, `mock device ${this.#stdevId}`, this.#stdevId);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #transfer(iova: bigint, bytes: Uint8Array, flags: number): void {
    const fields = access_rw.fields;
    this.#access ??= this.#createAccess();
    const view = this.#command(access_rw, IOMMU_TEST_OP_ACCESS_RW, this.#access.descriptor("access"));
    fields.iova.set(view, iova);
    fields.length.setNumber(view, bytes.length);
    fields.flags.set(view, flags);
    this.#run(view, `access to 0x${iova.toString(16)} + ${bytes.length}`, fields.uptr.offset, bytes);
  }

  #createAccess(): OwnedDescriptor {
    const view = this.#command(create_access, IOMMU_TEST_OP_CREATE_ACCESS, this.#iommufd.ioas.id);
    this.#run(view, "access");
    return new OwnedDescriptor(create_access.fields.out_access_fd.get(view), "mock access");
  }

  #command(layout: StructLayout<{ size: U32Field; op: U32Field; id: U32Field }>, op: number, id: number): StructView {
    const view = layout.allocate();
    layout.fields.size.set(view, layout.size);
    layout.fields.op.set(view, op);
    layout.fields.id.set(view, id);
    return view;
  }

  #run(view: StructView, subject: string, ...links: (number | Uint8Array)[]): void {
    const request = { name: "IOMMU_TEST_CMD", request: IOMMU_TEST_CMD, argument: view.bytes, links };
    this.#iommufd.file.make(request, subject);
  }
}

/** Whether the mock IOMMU of this iommufd makes a device in a new address space. Closing the file ends both. */
function makesDevice(fd: number): boolean {
  const ioas = iommu_ioas_alloc.allocate();
  iommu_ioas_alloc.fields.size.set(ioas, iommu_ioas_alloc.size);
  if (native.ioctl(fd, IOMMU_IOAS_ALLOC, ioas.bytes) < 0) return false;
  const view = mock_domain.allocate();
  mock_domain.fields.size.set(view, mock_domain.size);
  mock_domain.fields.op.set(view, IOMMU_TEST_OP_MOCK_DOMAIN);
  mock_domain.fields.id.set(view, iommu_ioas_alloc.fields.out_ioas_id.get(ioas));
  return native.ioctl(fd, IOMMU_TEST_CMD, view.bytes) === 0;
}
