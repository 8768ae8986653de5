/** Numbers of the vfio-user specification and of the peers that matter (QEMU's hw/vfio-user/protocol.h). */

/** Bytes of the header of every message. */
export const HEADER_SIZE = 16;

/** This package's version. QEMU's client refuses a reply with a higher minor version than its own 0. */
export const VERSION = { major: 0, minor: 0 } as const;

/**
 * Most data bytes that we take in one region or DMA access (capability `max_data_xfer_size`; the specification's
 * default).
 */
export const MAX_DATA_TRANSFER = 1024 * 1024;

/** Most descriptors that we take with one message (capability `max_msg_fds`). QEMU refuses a larger number than 16. */
export const MAX_MESSAGE_FDS = 16;

/** Most DMA maps at a time (capability `max_dma_maps`; the specification's default, and QEMU's). */
export const MAX_DMA_MAPS = 65_535;

/**
 * Most DMA maps that our server takes. It is more than the server announces: with a vIOMMU in front of it, QEMU sends a
 * map for each leaf of the guest's I/O page tables, whatever the server announced. 1 GiB in 4 KiB pages is 262,144
 * maps.
 */
export const MAX_DMA_MAPS_TAKEN = 1_048_576;

/** Supported page sizes of a DMA map, or'ed (capability `pgsizes`; the specification's default). */
export const PAGE_SIZES = 4096;

/** Most bytes that we take of the capabilities' JSON text. A few hundred are usual. */
export const MAX_CAPABILITIES_TEXT = 16 * 1024;

/** Most writes in one VFIO_USER_REGION_WRITE_MULTI (QEMU's VFIO_USER_MULTI_MAX). */
export const MAX_MULTI_WRITES = 200;

/** Most bytes of one bitmap of written pages: 32 GiB in 4 KiB pages. */
export const MAX_BITMAP = MAX_DATA_TRANSFER;

/** Most ranges whose writes are logged. The kernel takes as many (LOG_MAX_RANGES, with pages of 4 KiB). */
export const MAX_LOG_RANGES = 256;

/** Bytes of the longest message that we take: a transfer of {@link MAX_DATA_TRANSFER} with its header and fields. */
export const MAX_MESSAGE_SIZE = HEADER_SIZE + 32 + MAX_DATA_TRANSFER;
