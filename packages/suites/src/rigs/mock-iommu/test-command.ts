/**
 * The kernel's test interface of iommufd (CONFIG_IOMMUFD_TEST): drivers/iommu/iommufd/iommufd_test.h under the kernel's
 * names. It is no stable ABI: these are Linux 6.11 to 7.3, with event queues and PASIDs from 6.15 on.
 */
import { struct, u32, u64 } from "@vfio-selftests/core/uapi";

/** `_IO(';', 0x80 + 32)` */
export const IOMMU_TEST_CMD = 0x3ba0;

export const IOMMU_TEST_OP_ADD_RESERVED = 1;
export const IOMMU_TEST_OP_MOCK_DOMAIN = 2;
export const IOMMU_TEST_OP_MD_CHECK_MAP = 3;
export const IOMMU_TEST_OP_MD_CHECK_REFS = 4;
export const IOMMU_TEST_OP_CREATE_ACCESS = 5;
export const IOMMU_TEST_OP_DESTROY_ACCESS_PAGES = 6;
export const IOMMU_TEST_OP_ACCESS_PAGES = 7;
export const IOMMU_TEST_OP_ACCESS_RW = 8;
export const IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT = 9;
export const IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE = 10;
export const IOMMU_TEST_OP_ACCESS_REPLACE_IOAS = 11;
export const IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS = 12;
export const IOMMU_TEST_OP_DIRTY = 13;
export const IOMMU_TEST_OP_MD_CHECK_IOTLB = 14;
export const IOMMU_TEST_OP_TRIGGER_IOPF = 15;
export const IOMMU_TEST_OP_DEV_CHECK_CACHE = 16;
export const IOMMU_TEST_OP_TRIGGER_VEVENT = 17;
export const IOMMU_TEST_OP_PASID_ATTACH = 18;
export const IOMMU_TEST_OP_PASID_REPLACE = 19;
export const IOMMU_TEST_OP_PASID_DETACH = 20;
export const IOMMU_TEST_OP_PASID_CHECK_HWPT = 21;

export const MOCK_ACCESS_RW_WRITE = 1 << 0;
export const MOCK_ACCESS_RW_SLOW_PATH = 1 << 2;
export const MOCK_FLAGS_ACCESS_WRITE = 1 << 0;
export const MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES = 1 << 0;
export const MOCK_FLAGS_DEVICE_NO_DIRTY = 1 << 0;
export const MOCK_FLAGS_DEVICE_PASID = 1 << 2;

export const IOMMU_HW_INFO_TYPE_SELFTEST = 0xfeed_beef;
export const IOMMU_HW_INFO_SELFTEST_REGVAL = 0xdead_beef;
export const IOMMU_HWPT_DATA_SELFTEST = 0xdead;
export const IOMMU_TEST_DEV_CACHE_DEFAULT = 0xbad_dad;
export const IOMMU_HWPT_INVALIDATE_DATA_SELFTEST = 0xdead_beef;
export const IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST = 0xdead_beef;
export const IOMMU_TEST_INVALIDATE_FLAG_ALL = 1 << 0;
export const IOMMU_VIOMMU_TYPE_SELFTEST = 0xdead_beef;
export const IOMMU_VEVENTQ_TYPE_SELFTEST = 0xbeef_beef;
export const IOMMU_HW_QUEUE_TYPE_SELFTEST = 0xdead_beef;
/** Caches of a mock device, and of a nested page table. */
export const MOCK_CACHES = 4;

/** Bytes of struct iommu_test_cmd: a head of 16, and a union. */
const SIZE = 72;
const head = { size: u32(0), op: u32(4), id: u32(8) };

export const mock_domain = struct(SIZE, {
  ...head,
  out_stdev_id: u32(16),
  out_hwpt_id: u32(20),
  out_idev_id: u32(24),
  dev_flags: u32(28),
});
export const add_reserved = struct(SIZE, { ...head, start: u64(16), length: u64(24) });
export const memory_limit = struct(SIZE, { ...head, limit: u32(16) });
export const mock_domain_replace = struct(SIZE, { ...head, pt_id: u32(16) });
export const check_map = struct(SIZE, { ...head, iova: u64(16), length: u64(24), uptr: u64(32) });
export const check_refs = struct(SIZE, { ...head, length: u64(16), uptr: u64(24), refs: u32(32) });
export const create_access = struct(SIZE, { ...head, out_access_fd: u32(16), flags: u32(20) });
export const destroy_access_pages = struct(SIZE, { ...head, access_pages_id: u32(16) });
export const access_pages = struct(SIZE, {
  ...head,
  flags: u32(16),
  out_access_pages_id: u32(20),
  iova: u64(24),
  length: u64(32),
  uptr: u64(40),
});
export const access_rw = struct(SIZE, { ...head, iova: u64(16), length: u64(24), uptr: u64(32), flags: u32(40) });
export const access_replace_ioas = struct(SIZE, { ...head, ioas_id: u32(16) });
export const dirty = struct(SIZE, {
  ...head,
  flags: u32(16),
  iova: u64(24),
  length: u64(32),
  page_size: u64(40),
  uptr: u64(48),
  out_nr_dirty: u64(56),
});
/** Its layout is check_dev_cache's, too. */
export const check_cache = struct(SIZE, { ...head, cache_id: u32(16), value: u32(20) });
export const trigger_iopf = struct(SIZE, {
  ...head,
  dev_id: u32(16),
  pasid: u32(20),
  grpid: u32(24),
  perm: u32(28),
  addr: u64(32),
});
export const trigger_vevent = struct(SIZE, { ...head, dev_id: u32(16) });
/** Attach, replace, detach and check of a PASID. */
export const pasid_table = struct(SIZE, { ...head, pasid: u32(16), pt_id: u32(20) });
