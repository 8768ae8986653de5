/**
 * Structures of linux/iommufd.h under the kernel's names. Offsets and sizes in bytes. `size` is set to the layout's
 * size.
 */
import { s32, struct, u8, u16, u32, u64 } from "./struct";

export const iommu_destroy = struct(8, { size: u32(0), id: u32(4) });

export const iommu_ioas_alloc = struct(12, { size: u32(0), flags: u32(4), out_ioas_id: u32(8) });

/** `last` is inclusive. */
export const iommu_iova_range = struct(16, { start: u64(0), last: u64(8) });
export const iommu_ioas_iova_ranges = struct(32, {
  size: u32(0),
  ioas_id: u32(4),
  num_iovas: u32(8),
  /** Address of `num_iovas` of {@link iommu_iova_range}. */
  allowed_iovas: u64(16),
  out_iova_alignment: u64(24),
});
export const iommu_ioas_allow_iovas = struct(24, {
  size: u32(0),
  ioas_id: u32(4),
  num_iovas: u32(8),
  allowed_iovas: u64(16),
});

export const iommu_ioas_map = struct(40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  user_va: u64(16),
  length: u64(24),
  iova: u64(32),
});
export const iommu_ioas_map_file = struct(40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  fd: s32(12),
  start: u64(16),
  length: u64(24),
  iova: u64(32),
});
export const iommu_ioas_copy = struct(40, {
  size: u32(0),
  flags: u32(4),
  dst_ioas_id: u32(8),
  src_ioas_id: u32(12),
  length: u64(16),
  dst_iova: u64(24),
  src_iova: u64(32),
});
export const iommu_ioas_unmap = struct(24, { size: u32(0), ioas_id: u32(4), iova: u64(8), length: u64(16) });

export const iommu_ioas_noiommu_get_pa = struct(40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  __reserved: u32(12),
  iova: u64(16),
  length: u64(24),
  out_phys: u64(32),
});

export const iommu_option = struct(24, {
  size: u32(0),
  option_id: u32(4),
  op: u16(8),
  object_id: u32(12),
  val64: u64(16),
});
export const iommu_vfio_ioas = struct(12, { size: u32(0), ioas_id: u32(4), op: u16(8) });

export const iommu_hwpt_alloc = struct(48, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  pt_id: u32(12),
  out_hwpt_id: u32(16),
  __reserved: u32(20),
  data_type: u32(24),
  data_len: u32(28),
  data_uptr: u64(32),
  fault_id: u32(40),
});
/** Without `__reserved`, which moved when Linux 6.15 put `out_max_pasid_log2` in its place: headers differ. */
export const iommu_hw_info = struct(40, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  data_len: u32(12),
  data_uptr: u64(16),
  out_data_type: u32(24),
  out_max_pasid_log2: u8(28),
  out_capabilities: u64(32),
});
export const iommu_hw_info_vtd = struct(24, { flags: u32(0), cap_reg: u64(8), ecap_reg: u64(16) });
export const iommu_hw_info_amd = struct(16, { efr: u64(0), efr2: u64(8) });

export const iommu_hwpt_set_dirty_tracking = struct(16, { size: u32(0), flags: u32(4), hwpt_id: u32(8) });
export const iommu_hwpt_get_dirty_bitmap = struct(48, {
  size: u32(0),
  hwpt_id: u32(4),
  flags: u32(8),
  iova: u64(16),
  length: u64(24),
  page_size: u64(32),
  data: u64(40),
});

export const iommu_fault_alloc = struct(16, {
  size: u32(0),
  flags: u32(4),
  out_fault_id: u32(8),
  out_fault_fd: u32(12),
});
export const iommu_hwpt_pgfault = struct(40, {
  flags: u32(0),
  dev_id: u32(4),
  pasid: u32(8),
  grpid: u32(12),
  perm: u32(16),
  addr: u64(24),
  length: u32(32),
  cookie: u32(36),
});
export const iommu_hwpt_page_response = struct(8, { cookie: u32(0), code: u32(4) });

/** `entry_num` comes back as the number of entries that were handled. */
export const iommu_hwpt_invalidate = struct(32, {
  size: u32(0),
  hwpt_id: u32(4),
  data_uptr: u64(8),
  data_type: u32(16),
  entry_len: u32(20),
  entry_num: u32(24),
  __reserved: u32(28),
});

export const iommu_viommu_alloc = struct(40, {
  size: u32(0),
  flags: u32(4),
  type: u32(8),
  dev_id: u32(12),
  hwpt_id: u32(16),
  out_viommu_id: u32(20),
  data_len: u32(24),
  data_uptr: u64(32),
});
export const iommu_vdevice_alloc = struct(24, {
  size: u32(0),
  viommu_id: u32(4),
  dev_id: u32(8),
  out_vdevice_id: u32(12),
  virt_id: u64(16),
});
export const iommu_veventq_alloc = struct(32, {
  size: u32(0),
  flags: u32(4),
  viommu_id: u32(8),
  type: u32(12),
  veventq_depth: u32(16),
  out_veventq_id: u32(20),
  out_veventq_fd: u32(24),
  __reserved: u32(28),
});
/** Before each event's data in a read of the queue. */
export const iommufd_vevent_header = struct(8, { flags: u32(0), sequence: u32(4) });
export const iommu_hw_queue_alloc = struct(40, {
  size: u32(0),
  flags: u32(4),
  viommu_id: u32(8),
  type: u32(12),
  index: u32(16),
  out_hw_queue_id: u32(20),
  nesting_parent_iova: u64(24),
  length: u64(32),
});
