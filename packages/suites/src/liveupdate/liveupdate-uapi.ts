import { OwnedDescriptor } from "@vfio-selftests/core/backend";
import { Errno } from "@vfio-selftests/core/errors";
import {
  LIVEUPDATE_IOCTL_CREATE_SESSION,
  liveupdate_ioctl_create_session,
  LIVEUPDATE_IOCTL_RETRIEVE_SESSION,
  liveupdate_ioctl_retrieve_session,
  LIVEUPDATE_SESSION_FINISH,
  liveupdate_session_finish,
  LIVEUPDATE_SESSION_GET_NAME,
  liveupdate_session_get_name,
  LIVEUPDATE_SESSION_NAME_LENGTH,
  LIVEUPDATE_SESSION_PRESERVE_FD,
  liveupdate_session_preserve_fd,
  LIVEUPDATE_SESSION_RETRIEVE_FD,
  liveupdate_session_retrieve_fd,
  MFD_HUGETLB,
} from "@vfio-selftests/core/uapi";
import { LiveUpdate, type LiveUpdateSession } from "@vfio-selftests/iommu-modes";
import { native } from "@vfio-selftests/native";
import { MemoryFile } from "../rigs/liveupdate/memory-file";
import { openLiveUpdate } from "../rigs/liveupdate/require-live-update";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import { expectAnswers } from "../rigs/raw/answer-table";
import { askKernel, askPlainly, NO_ADDRESS, NO_FILE, outcome } from "../rigs/raw/ask-kernel";
import type { SuiteTarget } from "../suite-target";

/** No request of /dev/liveupdate, of a session, or of anybody. */
const UNKNOWN = { device: 0xba02, session: 0xba44, below: 0xba3f, other: 0xbb00, otherSession: 0xbb40 } as const;
const LAST_BYTE = LIVEUPDATE_SESSION_NAME_LENGTH - 1;
/** More than one block of the kernel's records has room for (include/linux/kho/abi/block.h). */
const MANY_FILES = 300;

/** A name's 64 bytes: so many letters, then NULs. */
function nameOf(letters: number): Uint8Array {
  return new Uint8Array(LIVEUPDATE_SESSION_NAME_LENGTH).fill(0x61, 0, letters);
}

/** The requests of the Live Update Orchestrator on one kernel, and what it must refuse (kernel/liveupdate). */
export function liveUpdateUapiSuite(_target: SuiteTarget): void {
  describe("liveupdate_uapi", () => {
    const withSession = (use: (session: LiveUpdateSession, liveUpdate: LiveUpdate) => void): void => {
      using liveUpdate = openLiveUpdate();
      using session = liveUpdate.createSession("uapi");
      use(session, liveUpdate);
    };

    it("device_is_open_once", () => {
      using first = openLiveUpdate();
      // luo_open
      expect(() => LiveUpdate.open()).toThrow(expect.objectContaining({ errno: Errno.EBUSY }) as Error);
      first.close();
      LiveUpdate.open().close();
    });

    it("session_outlives_the_device_and_frees_its_name", () => {
      using liveUpdate = openLiveUpdate();
      using session = liveUpdate.createSession("uapi");
      // luo_session_insert
      expect(() => liveUpdate.createSession("uapi")).toThrow(expect.objectContaining({ errno: Errno.EEXIST }) as Error);
      liveUpdate.close();
      expect(session.name).toBe("uapi");
      session.close();
      using again = openLiveUpdate();
      again.createSession("uapi").close();
    });

    it("session_names_are_1_to_63_bytes", () => {
      using liveUpdate = openLiveUpdate();
      const create = (name: Uint8Array): string => {
        // Behind size and descriptor, so that the name ends the structure.
        const bytes = new Uint8Array(liveupdate_ioctl_create_session.size);
        new Uint32Array(bytes.buffer)[0] = bytes.length;
        bytes.set(name, 8);
        const answer = askPlainly(liveUpdate.file, { LIVEUPDATE_IOCTL_CREATE_SESSION }, bytes);
        if (answer === "ok") native.close(new Int32Array(bytes.buffer)[1] ?? -1);
        return answer;
      };
      expectAnswers(
        {
          // luo_session_create
          empty: [nameOf(0), "EINVAL"],
          one: [nameOf(1), "ok"],
          longest: [nameOf(LAST_BYTE), "ok"],
          without_end: [nameOf(LAST_BYTE + 1), "EINVAL"],
        },
        create,
      );
    });

    it("session_has_its_whole_name", () => {
      using liveUpdate = openLiveUpdate();
      for (const name of ["a", "ä".repeat(31), "n".repeat(LAST_BYTE)]) {
        using session = liveUpdate.createSession(name);
        expect(session.name).toBe(name);
      }
    });

    it("device_refuses_malformed_requests", () => {
      using liveUpdate = openLiveUpdate();
      const { file } = liveUpdate;
      const create = { LIVEUPDATE_IOCTL_CREATE_SESSION };
      const retrieve = { LIVEUPDATE_IOCTL_RETRIEVE_SESSION };
      const { size } = liveupdate_ioctl_create_session;
      const extra = Uint8Array.of(0, 0, 0, 1);
      const answers = {
        // luo_ioctl: the number is out of the table, or the table has another request there.
        unknown: askPlainly(file, { unknown: UNKNOWN.device }, new Uint8Array(size)),
        session_request: askPlainly(file, { LIVEUPDATE_SESSION_FINISH }, new Uint8Array(size)),
        other_type: askPlainly(file, { other: UNKNOWN.other }, new Uint8Array(size)),
        no_address: askPlainly(file, create, NO_ADDRESS),
        too_short: askKernel(file, create, liveupdate_ioctl_create_session, {}, { said: size - 1 }).code,
        later_field: askKernel(file, create, liveupdate_ioctl_create_session, {}, { data: extra }).code,
        // luo_session_retrieve: no kernel has handed such a session over.
        no_session: askKernel(file, retrieve, liveupdate_ioctl_retrieve_session, {}).code,
      };
      expect(answers).toEqual({
        unknown: "EINVAL",
        session_request: "EINVAL",
        other_type: "ENOTTY",
        no_address: "EFAULT",
        too_short: "EINVAL",
        later_field: "E2BIG",
        no_session: "ENOENT",
      });
    });

    it("session_refuses_malformed_requests", () => {
      withSession(({ file }) => {
        const preserve = { LIVEUPDATE_SESSION_PRESERVE_FD };
        const layout = liveupdate_session_preserve_fd;
        const extra = Uint8Array.of(0, 0, 0, 1);
        const answers = {
          // luo_session_ioctl
          unknown: askPlainly(file, { unknown: UNKNOWN.session }, new Uint8Array(layout.size)),
          below: askPlainly(file, { below: UNKNOWN.below }, new Uint8Array(layout.size)),
          device_request: askPlainly(file, { LIVEUPDATE_IOCTL_CREATE_SESSION }, new Uint8Array(72)),
          other_type: askPlainly(file, { other: UNKNOWN.otherSession }, new Uint8Array(layout.size)),
          no_address: askPlainly(file, preserve, NO_ADDRESS),
          too_short: askKernel(file, preserve, layout, {}, { said: layout.size - 1 }).code,
          later_field: askKernel(file, preserve, layout, {}, { data: extra }).code,
          // luo_session_get_name
          reserved: askKernel(file, { LIVEUPDATE_SESSION_GET_NAME }, liveupdate_session_get_name, { reserved: 1 }).code,
        };
        expect(answers).toEqual({
          unknown: "EINVAL",
          below: "EINVAL",
          device_request: "EINVAL",
          other_type: "ENOTTY",
          no_address: "EFAULT",
          too_short: "EINVAL",
          later_field: "E2BIG",
          reserved: "EINVAL",
        });
      });
    });

    it("session_of_this_kernel_gives_nothing_back", () => {
      withSession((session) => {
        using file = MemoryFile.create(PAGE_SIZE);
        session.preserve(file.descriptor, 1n);
        // luo_ioctl_type_valid: both are for sessions that were taken over.
        const { code } = askKernel(session.file, { LIVEUPDATE_SESSION_RETRIEVE_FD }, liveupdate_session_retrieve_fd, {
          token: 1n,
        });
        expect(code).toBe("EINVAL");
        const finish = askKernel(session.file, { LIVEUPDATE_SESSION_FINISH }, liveupdate_session_finish, {});
        expect(finish.code).toBe("EINVAL");
      });
    });

    it("preserves_only_files_that_it_knows", () => {
      withSession((session) => {
        using memory = MemoryFile.create(PAGE_SIZE);
        using huge = new OwnedDescriptor(native.memfdCreate("huge", MFD_HUGETLB), "memfd of huge pages");
        using event = new OwnedDescriptor(native.eventfd(0, 0), "eventfd");
        let token = 0n;
        const preserve = (fd: number): string =>
          askKernel(session.file, { LIVEUPDATE_SESSION_PRESERVE_FD }, liveupdate_session_preserve_fd, {
            fd,
            token: token++,
          }).code;
        expectAnswers(
          {
            // luo_preserve_file; memfd_luo_can_preserve takes files of shmem without a name.
            no_file: [NO_FILE, "EBADF"],
            negative: [-1, "EBADF"],
            eventfd: [event.descriptor("test"), "ENOENT"],
            huge_pages: [huge.descriptor("test"), "ENOENT"],
            itself: [session.file.descriptor("test"), "ENOENT"],
            memfd: [memory.descriptor, "ok"],
          },
          preserve,
        );
      });
    });

    it("token_and_file_are_preserved_once", () => {
      withSession((session, liveUpdate) => {
        using memory = MemoryFile.create(PAGE_SIZE);
        using other = MemoryFile.create(PAGE_SIZE);
        using another = liveUpdate.createSession("another");
        const preserve = ([to, fd, token]: readonly [LiveUpdateSession, number, bigint]): string =>
          askKernel(to.file, { LIVEUPDATE_SESSION_PRESERVE_FD }, liveupdate_session_preserve_fd, { fd, token }).code;
        expectAnswers(
          {
            first: [[session, memory.descriptor, 1n], "ok"],
            // luo_token_is_used
            token_in_use: [[session, other.descriptor, 1n], "EEXIST"],
            // xa_insert into luo_preserved_files
            file_again: [[session, memory.descriptor, 2n], "EBUSY"],
            file_elsewhere: [[another, memory.descriptor, 1n], "EBUSY"],
            token_elsewhere: [[another, other.descriptor, 1n], "ok"],
          },
          preserve,
        );
        // The session's end frees both.
        session.close();
        expect(preserve([another, memory.descriptor, 2n])).toBe("ok");
      });
    });

    it("preserved_memfd_keeps_its_size", () => {
      withSession((session) => {
        using memory = MemoryFile.create(2 * PAGE_SIZE);
        const resize = (bytes: number): number | string => outcome(native.ftruncate(memory.descriptor, bytes));
        const writeAt = (offset: number): number | string =>
          outcome(native.pwrite(memory.descriptor, new Uint8Array(8), offset));
        session.preserve(memory.descriptor, 1n);
        // shmem_freeze: shmem_setattr and shmem_write_begin refuse.
        expect([resize(PAGE_SIZE), resize(3 * PAGE_SIZE)]).toEqual(["EPERM", "EPERM"]);
        expect([writeAt(0), writeAt(2 * PAGE_SIZE)]).toEqual([8, "EPERM"]);
        session.close();
        expect([resize(3 * PAGE_SIZE), writeAt(2 * PAGE_SIZE)]).toEqual([0, 8]);
      });
    });

    it("session_takes_many_files_and_frees_them_all", () => {
      withSession((session, liveUpdate) => {
        const files = Array.from({ length: MANY_FILES }, () => MemoryFile.create(8));
        using another = liveUpdate.createSession("another");
        files.forEach(({ descriptor }, token) => session.preserve(descriptor, BigInt(token)));
        session.close();
        files.forEach(({ descriptor }, token) => another.preserve(descriptor, BigInt(token)));
        another.close();
        for (const file of files) file[Symbol.dispose]();
        // The session's name is free, and with it all that it held.
        expect(liveUpdate.createSession("another").name).toBe("another");
      });
    });
  });
}
