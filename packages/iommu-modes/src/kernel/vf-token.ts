import { argumentError } from "@vfio-selftests/core/errors";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A VF token for VFIO_DEVICE_BIND_IOMMUFD and VFIO_DEVICE_FEATURE: 16 bytes in the order of the text. */
export function vfTokenBytes(token: string): Uint8Array {
  return new Uint8Array(Buffer.from(requireUuid(token).replaceAll("-", ""), "hex"));
}

export function requireUuid(token: string): string {
  if (!UUID.test(token))
    throw argumentError("openDevice", "vfToken", token, "a UUID, for example 01234567-89ab-cdef-0123-456789abcdef");
  return token;
}
