/** Whether two buffers of `size` bytes have a byte in common. */
export function overlap(a: bigint, b: bigint, size: number): boolean {
  const distance = a > b ? a - b : b - a;
  return distance < BigInt(size);
}
