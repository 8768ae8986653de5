/**
 * The fixed parts of the messages, under the specification's names. Offsets count from the end of the header (for
 * {@link header}: from its start). The kernel's own structures come from linux/vfio.h as declared in core.
 */
import type { StructLayout } from "@vfio-selftests/core/uapi";
import {
  struct,
  u16,
  u32,
  u64,
  vfio_device_feature,
  vfio_irq_info,
  vfio_irq_set,
  vfio_region_info,
} from "@vfio-selftests/core/uapi";

export const header = struct(16, {
  message_id: u16(0),
  command: u16(2),
  /** Bytes of the whole message. */
  message_size: u32(4),
  flags: u32(8),
  /** errno, valid with {@link FLAG_ERROR}. */
  error: u32(12),
});

/* header.flags */
export const TYPE_MASK = 0xf;
export const TYPE_COMMAND = 0;
export const TYPE_REPLY = 1;
export const FLAG_NO_REPLY = 1 << 4;
export const FLAG_ERROR = 1 << 5;
export const FLAGS_KNOWN = TYPE_MASK | FLAG_NO_REPLY | FLAG_ERROR;

/** Followed by the capabilities: JSON, with its terminating NUL. */
export const version = struct(4, { major: u16(0), minor: u16(2) });

export const dma_map = struct(32, { argsz: u32(0), flags: u32(4), offset: u64(8), address: u64(16), size: u64(24) });

export const dma_unmap = struct(24, { argsz: u32(0), flags: u32(4), address: u64(8), size: u64(16) });

/* dma_map.flags */
export const DMA_MAP_READ = 1 << 0;
export const DMA_MAP_WRITE = 1 << 1;
/* libvfio-user's: how to use the descriptor. By default the server maps it. */
export const DMA_MAP_MMAP = 1 << 2;
/** Use pread(2) and pwrite(2), and do not map it. */
export const DMA_MAP_FILE_IO = 1 << 3;

/* dma_unmap.flags */
export const DMA_UNMAP_DIRTY_BITMAP = 1 << 0;
export const DMA_UNMAP_ALL = 1 << 1;

export const device_info = struct(16, { argsz: u32(0), flags: u32(4), num_regions: u32(8), num_irqs: u32(12) });

/** In the reply, the capability chain follows. */
export const region_info: typeof vfio_region_info = vfio_region_info;

/** In the reply, `count` sub-regions of 40 bytes follow. */
export const region_io_fds = struct(16, { argsz: u32(0), flags: u32(4), index: u32(8), count: u32(12) });

export const irq_info: typeof vfio_irq_info = vfio_irq_info;

/** With DATA_BOOL, `count` bytes follow. */
export const irq_set: typeof vfio_irq_set = vfio_irq_set;

/** In a write, and in the reply to a read, `count` data bytes follow. */
export const region_access = struct(16, { offset: u64(0), region: u32(8), count: u32(12) });

/** In a write, and in the reply to a read, `count` data bytes follow. */
export const dma_access = struct(16, { address: u64(0), count: u64(8) });

/** QEMU's {@link dma_access}: a 32-bit count with the data right behind it (and 4 unused bytes at the end). */
export const dma_access_qemu = struct(12, { address: u64(0), count: u32(8) });

/** `count` of {@link write_one} follow. */
export const write_multi = struct(8, { count: u64(0) });
/** `count` is the width, 1 to 8 bytes. `data` holds them from its first byte on. */
export const write_one = struct(24, { offset: u64(0), region: u32(8), count: u32(12), data: u64(16) });

/** The feature's data follow. */
export const device_feature: typeof vfio_device_feature = vfio_device_feature;

/** Features whose kernel structures have a pointer have the data behind the fields here: ranges, and a bitmap. */
export const dma_logging_control = struct(16, { page_size: u64(0), num_ranges: u32(8), reserved: u32(12) });
export const dma_logging_report = struct(24, { iova: u64(0), length: u64(8), page_size: u64(16) });

/** In a write, and in the reply to a read, `size` bytes of migration data follow. */
export const mig_data = struct(8, { argsz: u32(0), size: u32(4) });

/** No fields at all. */
export const nothing: StructLayout = struct(0, {});
