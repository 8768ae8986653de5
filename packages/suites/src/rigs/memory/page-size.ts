import { native } from "@vfio-selftests/native";

/** Bytes of a page of the CPU: 4 KiB, or on arm64 16 or 64 KiB. Mappings begin and end on its boundaries. */
export const PAGE_SIZE = native.pageSize();
