/** Registers that take every write, by their width: only vfio-pci stands between them and a user. */
export const BYTE = { bytes: 1, readWrite: 0xff } as const;
export const HALF = { bytes: 2, readWrite: 0xffff } as const;
export const WORD = { bytes: 4, readWrite: 0xffff_ffff } as const;
