/** The smallest huge page of any CPU, and the largest one that an IOMMU has. */
const SMALLEST = 2 ** 21;
const LARGEST = 2 ** 30;

/**
 * The alignment of an address with which the process's and the IOMMU's tables can map `size` bytes of registers by huge pages:
 * the largest power of two in them, 1 GiB at most. 0, the kernel's choice, for what is smaller than any huge page.
 */
export function hugePageAlignment(size: number): number {
  return size < SMALLEST ? 0 : Math.min(2 ** Math.floor(Math.log2(size)), LARGEST);
}
