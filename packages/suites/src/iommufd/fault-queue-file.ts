import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import {
  iommu_fault_alloc,
  IOMMU_FAULT_QUEUE_ALLOC,
  IOMMU_HWPT_ALLOC_PASID,
  IOMMU_HWPT_FAULT_ID_VALID,
  iommu_hwpt_page_response,
  iommu_hwpt_pgfault,
  IOMMU_PGFAULT_FLAGS_LAST_PAGE as LAST_PAGE,
  IOMMU_PGFAULT_FLAGS_PASID_VALID as PASID_VALID,
  IOMMU_PGFAULT_PERM_EXEC as EXECUTE,
  IOMMU_PGFAULT_PERM_READ as READ,
  IOMMU_PGFAULT_PERM_WRITE as WRITE,
} from "@vfio-selftests/core/uapi";
import { requireMode } from "@vfio-selftests/harness";
import { native } from "@vfio-selftests/native";
import { closesOnExec } from "../rigs/device/close-on-exec";
import { modesOf } from "../rigs/iommu/modes-of";
import { type MockIds, MockRig, words } from "../rigs/mock-iommu/mock-rig";
import {
  IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
  IOMMU_TEST_OP_PASID_ATTACH,
  IOMMU_TEST_OP_PASID_DETACH,
  IOMMU_TEST_OP_TRIGGER_IOPF,
  mock_domain_replace,
  MOCK_FLAGS_DEVICE_PASID,
  pasid_table,
  trigger_iopf,
} from "../rigs/mock-iommu/test-command";
import { outcome } from "../rigs/raw/ask-kernel";
import { MemoryWithoutPages } from "../rigs/raw/memory-without-pages";
import type { SuiteTarget } from "../suite-target";

const REQUEST = iommu_hwpt_pgfault.size;
const ANSWER = iommu_hwpt_page_response.size;
const POLLIN = 1;
const POLLOUT = 4;
const IOVA = 0x0200_0000n;
const PASID = 7;

/** The file of a fault queue, read and written by hand. Fixture iommufd_fault_queue tests the faults themselves. */
export function faultQueueFileSuite(target: SuiteTarget): void {
  const [mode] = modesOf(target, "iommufd");
  if (mode === undefined) return;

  describe("iommufd_fault_queue_file", () => {
    requireMode(mode);
    const withQueue = (use: (fd: number) => void): void => {
      using rig = new MockRig(mode);
      using file = new OwnedDescriptor(newQueue(rig).fd, "fault queue");
      use(file.descriptor("test"));
    };
    /** A device whose page table has the queue; `device.pageTable` is that table. */
    const withFaults = (use: (rig: MockRig, device: MockIds, fd: number) => void): void => {
      using rig = new MockRig(mode);
      const queue = newQueue(rig);
      using _file = new OwnedDescriptor(queue.fd, "fault queue");
      const device = rig.device({ flags: MOCK_FLAGS_DEVICE_PASID });
      const flags = IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID;
      const pageTable = rig.pageTable(device, { flags, fault_id: queue.id }).need("out_hwpt_id");
      const move = { id: device.test, pt_id: pageTable };
      expect(rig.test(IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, mock_domain_replace, move).outcome).toBe(0);
      use(rig, { ...device, pageTable }, queue.fd);
    };

    it("takes_whole_structures_only", () => {
      withQueue((fd) => {
        expect(outcome(native.read(fd, new Uint8Array(REQUEST - 1)))).toBe("ESPIPE");
        expect(native.read(fd, new Uint8Array(REQUEST))).toBe(0);
        expect(outcome(native.write(fd, new Uint8Array(ANSWER + 1)))).toBe("ESPIPE");
        // The file has no position.
        expect(outcome(native.pread(fd, new Uint8Array(REQUEST), REQUEST))).toBe("ESPIPE");
      });
    });

    it("can_always_be_answered_and_has_nothing_to_read_at_first", () => {
      withQueue((fd) => {
        expect(native.pollBlocking(fd, POLLIN | POLLOUT, 0)).toBe(POLLOUT);
      });
    });

    it("takes_no_answer_that_it_does_not_know", () => {
      withQueue((fd) => {
        // No cookie is open, and only codes 0 and 1 are answers (iommufd_fault_fops_write).
        expect(outcome(native.write(fd, words(1, 0)))).toBe("EINVAL");
        expect(outcome(native.write(fd, words(1, 2)))).toBe("EINVAL");
      });
    });

    it("is_refused_with_flags", () => {
      using rig = new MockRig(mode);
      expect(() => newQueue(rig, 1)).toThrow(/EOPNOTSUPP/);
    });

    it("gives_requests_one_by_one_where_there_is_room_for_one", () => {
      withFaults((rig, device, fd) => {
        for (const group of [1, 2, 3]) askForPage(rig, device, group);
        expect(native.pollBlocking(fd, POLLIN | POLLOUT, 1000)).toBe(POLLIN | POLLOUT);
        const first = readRequest(fd);
        const second = readRequest(fd);
        expect([first.group, second.group]).toEqual([1, 2]);
        // iommufd_compose_fault_message says: the last of its group, no PASID, and no length.
        expect(first).toMatchObject({
          flags: LAST_PAGE,
          device: device.id,
          permissions: READ,
          address: IOVA,
          length: 0,
        });
        // Two answers in one write: the second is wrong, and its request stays open.
        expect(outcome(native.write(fd, words(first.cookie, 0, second.cookie, 7)))).toBe(ANSWER);
        expect(outcome(native.write(fd, words(first.cookie, 0)))).toBe("EINVAL");
        expect(outcome(native.write(fd, words(second.cookie, 1)))).toBe(ANSWER);
        const third = readRequest(fd);
        expect(third.group).toBe(3);
        expect(native.pollBlocking(fd, POLLIN | POLLOUT, 0)).toBe(POLLOUT);
        expect(outcome(native.write(fd, words(third.cookie, 0)))).toBe(ANSWER);
      });
    });

    it("tells_the_address_and_the_access_that_the_device_asked_for", () => {
      withFaults((rig, device, fd) => {
        // Addresses within a page, and each kind of access.
        const asked = [READ, WRITE, READ | WRITE, EXECUTE].map((permissions, group) => ({
          group,
          permissions,
          address: IOVA + BigInt(group * 0x111),
        }));
        for (const { group, permissions, address } of asked) {
          const values = { dev_id: device.id, grpid: group, perm: permissions, addr: address };
          rig.test(IOMMU_TEST_OP_TRIGGER_IOPF, trigger_iopf, values).need("dev_id");
        }
        native.pollBlocking(fd, POLLIN, 1000);
        for (const request of asked) {
          const told = readRequest(fd);
          expect(told).toMatchObject(request);
          expect(outcome(native.write(fd, words(told.cookie, 0)))).toBe(ANSWER);
        }
      });
    });

    it("is_closed_by_exec", () => {
      withQueue((fd) => expect(closesOnExec(fd)).toBe(true));
    });

    it("keeps_requests_that_cannot_be_told", () => {
      withFaults((rig, device, fd) => {
        using nowhere = new MemoryWithoutPages();
        for (const group of [1, 2]) askForPage(rig, device, group);
        native.pollBlocking(fd, POLLIN, 1000);
        expect(outcome(native.read(fd, nowhere.bytes.subarray(0, 2 * REQUEST)))).toBe("EFAULT");
        const requests = [readRequest(fd), readRequest(fd)];
        expect(requests.map(({ group }) => group)).toEqual([1, 2]);
        expect(outcome(native.write(fd, nowhere.bytes.subarray(0, ANSWER)))).toBe("EFAULT");
        for (const { cookie } of requests) expect(outcome(native.write(fd, words(cookie, 0)))).toBe(ANSWER);
      });
    });

    it("tells_a_requests_pasid", () => {
      withFaults((rig, device, fd) => {
        // The device's requests without PASID go by its own page table; those with one by the PASID's.
        expect(
          rig.test(IOMMU_TEST_OP_PASID_ATTACH, pasid_table, { id: device.test, pasid: PASID, pt_id: device.pageTable })
            .outcome,
        ).toBe(0);
        askForPage(rig, device, 9, PASID);
        native.pollBlocking(fd, POLLIN, 1000);
        const request = readRequest(fd);
        expect(request).toMatchObject({ flags: LAST_PAGE | PASID_VALID, pasid: PASID, group: 9 });
        expect(outcome(native.write(fd, words(request.cookie, 0)))).toBe(ANSWER);
        rig.test(IOMMU_TEST_OP_PASID_DETACH, pasid_table, { id: device.test, pasid: PASID }).need("pt_id");
      });
    });
  });
}

function newQueue(rig: MockRig, flags = 0): { id: number; fd: number } {
  const answer = rig.raw.call({ IOMMU_FAULT_QUEUE_ALLOC }, iommu_fault_alloc, { flags });
  return { fd: answer.need("out_fault_fd"), id: answer.get("out_fault_id") };
}

function askForPage(rig: MockRig, { id }: MockIds, group: number, pasid = 0): void {
  const values = { dev_id: id, pasid, grpid: group, perm: READ, addr: IOVA };
  rig.test(IOMMU_TEST_OP_TRIGGER_IOPF, trigger_iopf, values).need("dev_id");
}

interface Request {
  readonly flags: number;
  readonly device: number;
  readonly pasid: number;
  readonly group: number;
  readonly permissions: number;
  readonly address: bigint;
  readonly length: number;
  readonly cookie: number;
}

/** Reads the next request, with room for one. */
function readRequest(fd: number): Request {
  const bytes = new Uint8Array(REQUEST);
  const count = native.read(fd, bytes);
  if (count !== REQUEST) throw new Error(`a read gave ${outcome(count)}`);
  const view = iommu_hwpt_pgfault.copyOf(bytes);
  const { flags, dev_id, pasid, grpid, perm, addr, length, cookie } = iommu_hwpt_pgfault.fields;
  return {
    flags: flags.get(view),
    device: dev_id.get(view),
    pasid: pasid.get(view),
    group: grpid.get(view),
    permissions: perm.get(view),
    address: addr.get(view),
    length: length.get(view),
    cookie: cookie.get(view),
  };
}
