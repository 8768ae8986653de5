import { argumentError } from "../errors/vfio-error";

/** A PCI function's address: domain (segment), bus, device and function. */
export interface PciAddress {
  /** 0 to 0xffff. Linux also numbers domains above that (VMD), up to 32 bits. */
  readonly domain: number;
  /** 0 to 0xff. */
  readonly bus: number;
  /** 0 to 0x1f. */
  readonly device: number;
  /** 0 to 7. */
  readonly function: number;
}

const PATTERN = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-9a-f])$/i;

/** Parses `0000:6a:01.0`, or without the domain `6a:01.0`. Undefined if it is no PCI address. */
export function parsePciAddress(text: string): PciAddress | undefined {
  const match = PATTERN.exec(text);
  if (match === null) return undefined;
  const [, domain = "0", bus = "", device = "", fn = ""] = match;
  const address = {
    domain: parseInt(domain, 16),
    bus: parseInt(bus, 16),
    device: parseInt(device, 16),
    function: parseInt(fn, 16),
  };
  return address.device > 0x1f || address.function > 7 ? undefined : address;
}

/** The kernel's spelling: `0000:6a:01.0`. */
export function formatPciAddress(address: PciAddress): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  return `${hex(address.domain, 4)}:${hex(address.bus, 2)}:${hex(address.device, 2)}.${address.function}`;
}

/** The kernel's spelling of any accepted one. Throws ERR_INVALID_ARGUMENT, which says what is accepted. */
export function normalizePciAddress(text: string): string {
  const address = parsePciAddress(text);
  if (address === undefined) {
    throw argumentError(
      "PCI address",
      "address",
      text,
      "DDDD:BB:DD.F or BB:DD.F in hexadecimal, device at most 1f, function at most 7 (for example 0000:6a:01.0)",
    );
  }
  return formatPciAddress(address);
}
