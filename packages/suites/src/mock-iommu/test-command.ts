/**
 * The kernel's test interface of iommufd (CONFIG_IOMMUFD_TEST): drivers/iommu/iommufd/iommufd_test.h under the kernel's
 * names. It is no stable ABI; this is Linux 6.11 to 7.2.
 */
import { struct, u32, u64 } from "@vfio-selftests/core/uapi";

/** `_IO(';', 0x80 + 32)` */
export const IOMMU_TEST_CMD = 0x3ba0;

export const IOMMU_TEST_OP_MOCK_DOMAIN = 2;
export const IOMMU_TEST_OP_MD_CHECK_MAP = 3;
export const IOMMU_TEST_OP_CREATE_ACCESS = 5;
export const IOMMU_TEST_OP_ACCESS_RW = 8;
export const IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE = 10;
export const IOMMU_TEST_OP_TRIGGER_IOPF = 15;

export const MOCK_ACCESS_RW_WRITE = 1 << 0;

/** struct iommu_test_cmd: a head, and a union of 48 bytes from 16 on. */
const SIZE = 72;
const head = { size: u32(0), op: u32(4), id: u32(8) };

export const mock_domain = struct(SIZE, {
  ...head,
  out_stdev_id: u32(16),
  out_hwpt_id: u32(20),
  out_idev_id: u32(24),
});
export const mock_domain_replace = struct(SIZE, { ...head, pt_id: u32(16) });
export const check_map = struct(SIZE, { ...head, iova: u64(16), length: u64(24), uptr: u64(32) });
export const create_access = struct(SIZE, { ...head, out_access_fd: u32(16), flags: u32(20) });
export const access_rw = struct(SIZE, { ...head, iova: u64(16), length: u64(24), uptr: u64(32), flags: u32(40) });
export const trigger_iopf = struct(SIZE, {
  ...head,
  dev_id: u32(16),
  pasid: u32(20),
  grpid: u32(24),
  perm: u32(28),
  addr: u64(32),
});
