/** Structures of linux/vfio.h under the kernel's names. Offsets and sizes in bytes. */
import { s32, struct, u8, u16, u32, u64 } from "./struct";

export const vfio_info_cap_header = struct(8, { id: u16(0), version: u16(2), next: u32(4) });

export const vfio_group_status = struct(8, { argsz: u32(0), flags: u32(4) });

export const vfio_device_info = struct(24, {
  argsz: u32(0),
  flags: u32(4),
  num_regions: u32(8),
  num_irqs: u32(12),
  cap_offset: u32(16),
  pad: u32(20),
});

export const vfio_device_info_cap_pci_atomic_comp = struct(16, { flags: u32(8) });

export const vfio_region_info = struct(32, {
  argsz: u32(0),
  flags: u32(4),
  index: u32(8),
  cap_offset: u32(12),
  size: u64(16),
  offset: u64(24),
});

/** `nr_areas` of {@link vfio_region_sparse_mmap_area} follow. */
export const vfio_region_info_cap_sparse_mmap = struct(16, { nr_areas: u32(8) });
export const vfio_region_sparse_mmap_area = struct(16, { offset: u64(0), size: u64(8) });
export const vfio_region_info_cap_type = struct(16, { type: u32(8), subtype: u32(12) });

export const vfio_irq_info = struct(16, { argsz: u32(0), flags: u32(4), index: u32(8), count: u32(12) });

/** `count` bytes (DATA_BOOL) or s32 (DATA_EVENTFD) follow. */
export const vfio_irq_set = struct(20, { argsz: u32(0), flags: u32(4), index: u32(8), start: u32(12), count: u32(16) });

/** `count` of {@link vfio_pci_dependent_device} follow. */
export const vfio_pci_hot_reset_info = struct(12, { argsz: u32(0), flags: u32(4), count: u32(8) });
export const vfio_pci_dependent_device = struct(8, {
  /** A devid if the flag DEV_ID is set. */
  group_id: u32(0),
  segment: u16(4),
  bus: u8(6),
  devfn: u8(7),
});
/** `count` s32 group descriptors follow (none for a device opened by cdev). */
export const vfio_pci_hot_reset = struct(12, { argsz: u32(0), flags: u32(4), count: u32(8) });

export const vfio_device_ioeventfd = struct(32, {
  argsz: u32(0),
  flags: u32(4),
  offset: u64(8),
  data: u64(16),
  fd: s32(24),
});

/** The feature's data follow. */
export const vfio_device_feature = struct(8, { argsz: u32(0), flags: u32(4) });
export const vfio_device_feature_migration = struct(8, { flags: u64(0) });
export const vfio_device_feature_mig_state = struct(8, { device_state: u32(0), data_fd: s32(4) });
export const vfio_device_low_power_entry_with_wakeup = struct(8, { wakeup_eventfd: s32(0) });
export const vfio_device_feature_dma_logging_control = struct(24, {
  page_size: u64(0),
  num_ranges: u32(8),
  ranges: u64(16),
});
export const vfio_device_feature_dma_logging_range = struct(16, { iova: u64(0), length: u64(8) });
export const vfio_device_feature_dma_logging_report = struct(32, {
  iova: u64(0),
  length: u64(8),
  page_size: u64(16),
  bitmap: u64(24),
});
export const vfio_device_feature_mig_data_size = struct(8, { stop_copy_length: u64(0) });
export const vfio_precopy_info = struct(24, {
  argsz: u32(0),
  flags: u32(4),
  initial_bytes: u64(8),
  dirty_bytes: u64(16),
});
export const vfio_device_feature_bus_master = struct(4, { op: u32(0) });
/** `nr_ranges` of {@link vfio_region_dma_range} follow. */
export const vfio_device_feature_dma_buf = struct(16, {
  region_index: u32(0),
  open_flags: u32(4),
  flags: u32(8),
  nr_ranges: u32(12),
});
export const vfio_region_dma_range = struct(16, { offset: u64(0), length: u64(8) });

export const vfio_device_bind_iommufd = struct(24, {
  argsz: u32(0),
  flags: u32(4),
  iommufd: s32(8),
  out_devid: u32(12),
  /** Address of 16 bytes; since Linux 6.17. */
  token_uuid_ptr: u64(16),
});
export const vfio_device_attach_iommufd_pt = struct(16, {
  argsz: u32(0),
  flags: u32(4),
  pt_id: u32(8),
  pasid: u32(12),
});
export const vfio_device_detach_iommufd_pt = struct(12, { argsz: u32(0), flags: u32(4), pasid: u32(8) });

export const vfio_iommu_type1_info = struct(24, {
  argsz: u32(0),
  flags: u32(4),
  iova_pgsizes: u64(8),
  cap_offset: u32(16),
  pad: u32(20),
});
/** `nr_iovas` of {@link vfio_iova_range} follow. */
export const vfio_iommu_type1_info_cap_iova_range = struct(16, { nr_iovas: u32(8) });
/** `end` is inclusive. */
export const vfio_iova_range = struct(16, { start: u64(0), end: u64(8) });
export const vfio_iommu_type1_info_cap_migration = struct(32, {
  flags: u32(8),
  pgsize_bitmap: u64(16),
  max_dirty_bitmap_size: u64(24),
});
export const vfio_iommu_type1_info_dma_avail = struct(12, { avail: u32(8) });

export const vfio_iommu_type1_dma_map = struct(32, {
  argsz: u32(0),
  flags: u32(4),
  vaddr: u64(8),
  iova: u64(16),
  size: u64(24),
});
export const vfio_iommu_type1_dma_unmap = struct(24, { argsz: u32(0), flags: u32(4), iova: u64(8), size: u64(16) });
export const vfio_bitmap = struct(24, { pgsize: u64(0), size: u64(8), data: u64(16) });
export const vfio_iommu_type1_dirty_bitmap = struct(8, { argsz: u32(0), flags: u32(4) });
export const vfio_iommu_type1_dirty_bitmap_get = struct(40, { iova: u64(0), size: u64(8) });
