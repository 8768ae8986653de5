import { Errno } from "@vfio-selftests/core/errors";
import { readAttribute, systemPaths } from "@vfio-selftests/core/sysfs";
import { F_SEAL_GROW, F_SEAL_SHRINK } from "@vfio-selftests/core/uapi";
import type { LiveUpdateSession } from "@vfio-selftests/iommu-modes";
import { keepSession } from "../rigs/liveupdate/keep-session";
import { MemoryFile } from "../rigs/liveupdate/memory-file";
import { openLiveUpdate } from "../rigs/liveupdate/require-live-update";
import { liveUpdateStages } from "../rigs/liveupdate/stages";
import { PAGE_SIZE } from "../rigs/memory/page-size";
import type { SuiteTarget } from "../suite-target";

const MIB = 1024 ** 2;
const SEALS = F_SEAL_SHRINK | F_SEAL_GROW;
const READ = 100;

/** What both kernels know of a file. Each has a session with its name. */
const FILES = {
  page: { bytes: PAGE_SIZE },
  odd_size: { bytes: 3 * PAGE_SIZE + 123 },
  /** As large as two huge pages. */
  large: { bytes: 4 * MIB },
  empty: { bytes: 0 },
} as const;

/** The boot's id is 36 characters. */
const BOOT_ID_BYTES = 36;
/** The kernel's error. */
const refused = (errno: number) => expect.objectContaining({ errno }) as Error;

const bootId = (): string => readAttribute(systemPaths.proc("sys", "kernel", "random", "boot_id")) ?? "";

/** A memfd that outlives its kernel (mm/memfd_luo.c): the next kernel, in the same machine, must have every byte of it. */
export function liveUpdateMemfdSuite(target: SuiteTarget): void {
  describe("liveupdate_memfd", () => {
    liveUpdateStages(target, { before: preserveFiles, after: findFiles });
  });
}

/** Makes a session that outlives this process, and fills it. */
function preserved(name: string, fill: (session: LiveUpdateSession) => void): void {
  using liveUpdate = openLiveUpdate();
  using session = liveUpdate.createSession(name);
  fill(session);
  keepSession(session);
  expect(session.name).toBe(name);
}

/** A file of the size, preserved under the token, with its content. */
function preserveFile(session: LiveUpdateSession, bytes: number, token: bigint): MemoryFile {
  const file = MemoryFile.create(bytes);
  file.write(MemoryFile.content(bytes));
  session.preserve(file.descriptor, token);
  return file;
}

function preserveFiles(): void {
  for (const [name, { bytes }] of Object.entries(FILES)) {
    it(`preserves_${name}`, () => {
      preserved(name, (session) => {
        using file = preserveFile(session, bytes, 1n);
        expect(file.holds(bytes)).toBe(true);
      });
    });
  }

  it("preserves_what_is_written_later", () => {
    preserved("written_later", (session) => {
      using file = MemoryFile.create(2 * PAGE_SIZE);
      session.preserve(file.descriptor, 1n);
      // The kernel takes over the pages, not a copy of them.
      file.write(MemoryFile.content(2 * PAGE_SIZE));
    });
  });

  it("preserves_seals_and_position", () => {
    preserved("sealed", (session) => {
      using file = MemoryFile.create(PAGE_SIZE);
      file.write(MemoryFile.content(PAGE_SIZE));
      file.seal(SEALS);
      session.preserve(file.descriptor, 1n);
      expect(file.readOn(READ)).toEqual(MemoryFile.content(READ));
    });
  });

  it("preserves_two_files_in_a_session", () => {
    preserved("two", (session) => {
      using _first = preserveFile(session, PAGE_SIZE, 0n);
      using _second = preserveFile(session, 2 * PAGE_SIZE, (1n << 64n) - 1n);
    });
  });

  it("ends_a_session", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.createSession("ended");
    using file = preserveFile(session, PAGE_SIZE, 1n);
    session.close();
    // The name and the file are free again (luo_session_release, luo_file_unpreserve_files).
    using again = liveUpdate.createSession("ended");
    again.preserve(file.descriptor, 1n);
    expect(() => again.preserve(file.descriptor, 2n)).toThrow(refused(Errno.EBUSY));
  });

  for (const name of ["unretrieved", "unfinished", "boot"]) {
    it(`preserves_${name}`, () => {
      preserved(name, (session) => {
        using file = MemoryFile.create(BOOT_ID_BYTES);
        file.write(Buffer.from(bootId()));
        session.preserve(file.descriptor, 1n);
        expect(Buffer.from(file.read(BOOT_ID_BYTES)).toString()).toBe(bootId());
      });
    });
  }
}

function findFiles(): void {
  it("is_another_boot_of_the_same_machine", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.retrieveSession("boot");
    using file = new MemoryFile(session.retrieve(1n));
    const before = Buffer.from(file.read(BOOT_ID_BYTES)).toString();
    expect(before).toMatch(/^[0-9a-f-]{36}$/);
    expect(before).not.toBe(bootId());
  });

  for (const [name, { bytes }] of Object.entries(FILES)) {
    it(`finds_${name}`, () => {
      using liveUpdate = openLiveUpdate();
      using session = liveUpdate.retrieveSession(name);
      expect(session.name).toBe(name);
      using file = new MemoryFile(session.retrieve(1n));
      expect(file.holds(bytes)).toBe(true);
      session.finish();
      // The file is an ordinary one now: it can be larger, which a preserved one cannot (shmem_freeze).
      file.write(MemoryFile.content(bytes + PAGE_SIZE));
      expect(file.holds(bytes + PAGE_SIZE)).toBe(true);
    });
  }

  it("finds_what_was_written_later", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.retrieveSession("written_later");
    using file = new MemoryFile(session.retrieve(1n));
    expect(file.holds(2 * PAGE_SIZE)).toBe(true);
  });

  it("finds_seals_and_position", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.retrieveSession("sealed");
    using file = new MemoryFile(session.retrieve(1n));
    expect(file.seals).toBe(SEALS);
    expect(file.readOn(READ)).toEqual(MemoryFile.content(2 * READ).subarray(READ));
  });

  it("finds_two_files_by_their_tokens", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.retrieveSession("two");
    // luo_retrieve_file: no file has this token.
    expect(() => session.retrieve(1n)).toThrow(refused(Errno.ENOENT));
    using second = new MemoryFile(session.retrieve((1n << 64n) - 1n));
    using first = new MemoryFile(session.retrieve(0n));
    using again = new MemoryFile(session.retrieve(0n));
    expect([first.holds(PAGE_SIZE), second.holds(2 * PAGE_SIZE)]).toEqual([true, true]);
    // A token gives the same file again.
    first.write(new Uint8Array(PAGE_SIZE));
    expect(again.read(PAGE_SIZE)).toEqual(new Uint8Array(PAGE_SIZE));
  });

  it("does_not_find_an_ended_session", () => {
    using liveUpdate = openLiveUpdate();
    for (const name of ["ended", "never"]) {
      expect(() => liveUpdate.retrieveSession(name)).toThrow(refused(Errno.ENOENT));
    }
  });

  it("finish_ends_what_nobody_retrieved", () => {
    using liveUpdate = openLiveUpdate();
    using session = liveUpdate.retrieveSession("unretrieved");
    // luo_session_retrieve: the session has a file already.
    expect(() => liveUpdate.retrieveSession("unretrieved")).toThrow(refused(Errno.EINVAL));
    session.finish();
    expect(() => session.retrieve(1n)).toThrow(refused(Errno.ENOENT));
  });

  it("close_finishes_a_session", () => {
    using liveUpdate = openLiveUpdate();
    const session = liveUpdate.retrieveSession("unfinished");
    using file = new MemoryFile(session.retrieve(1n));
    // luo_ioctl_type_valid: nothing more goes into it.
    expect(() => session.preserve(file.descriptor, 2n)).toThrow(refused(Errno.EINVAL));
    session.close();
    expect(() => liveUpdate.retrieveSession("unfinished")).toThrow(refused(Errno.ENOENT));
    expect(file.read(BOOT_ID_BYTES)).toHaveLength(BOOT_ID_BYTES);
  });
}
