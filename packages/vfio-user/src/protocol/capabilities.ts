import { MAX_CAPABILITIES_TEXT, MAX_DATA_TRANSFER, MAX_DMA_MAPS, MAX_MESSAGE_FDS, PAGE_SIZES } from "./limits";

/** What one end tells the other in VFIO_USER_VERSION. */
export interface Capabilities {
  /** Descriptors that the sender takes with one message. */
  readonly maxMessageFds: number;
  /** Data bytes of one region or DMA access that the sender takes. */
  readonly maxDataTransfer: number;
  readonly maxDmaMaps: number;
  /** Page sizes of DMA maps, or'ed. */
  readonly pageSizes: number;
  /** The sender serves VFIO_USER_REGION_WRITE_MULTI. */
  readonly writeMultiple: boolean;
  /** A socket of its own for the server's requests and their answers. Undefined: not supported. */
  readonly twinSocket: TwinSocket | undefined;
}

export interface TwinSocket {
  /** In the server's reply: the index of the client's end among the descriptors beside the message. */
  readonly fdIndex: number | undefined;
}

/** What each end tells its peer. Only the twin socket differs. */
export const OWN_CAPABILITIES: Capabilities = {
  maxMessageFds: MAX_MESSAGE_FDS,
  maxDataTransfer: MAX_DATA_TRANSFER,
  maxDmaMaps: MAX_DMA_MAPS,
  pageSizes: PAGE_SIZES,
  writeMultiple: true,
  twinSocket: undefined,
};

interface NumberCapability {
  readonly key: "max_msg_fds" | "max_data_xfer_size" | "max_dma_maps" | "pgsizes";
  readonly property: "maxMessageFds" | "maxDataTransfer" | "maxDmaMaps" | "pageSizes";
  /** What the specification assumes when the sender says nothing. */
  readonly absent: number;
  readonly min: number;
  readonly max: number;
}

const NUMBERS: readonly NumberCapability[] = [
  { key: "max_msg_fds", property: "maxMessageFds", absent: 1, min: 0, max: 2 ** 31 },
  { key: "max_data_xfer_size", property: "maxDataTransfer", absent: 1024 * 1024, min: 1, max: 2 ** 40 },
  { key: "max_dma_maps", property: "maxDmaMaps", absent: 65_535, min: 0, max: 2 ** 40 },
  { key: "pgsizes", property: "pageSizes", absent: 4096, min: 1, max: Number.MAX_SAFE_INTEGER },
];

/**
 * The JSON text of a message, with its terminating NUL. A reply names only what the client has `proposed`, as the
 * specification demands.
 */
export function encodeCapabilities(capabilities: Capabilities, proposed?: readonly string[]): Uint8Array {
  const values: Record<string, unknown> = {};
  for (const { key, property } of NUMBERS) values[key] = capabilities[property];
  values["write_multiple"] = capabilities.writeMultiple;
  const twin = capabilities.twinSocket;
  if (twin !== undefined) values["twin_socket"] = { supported: true, fd_index: twin.fdIndex };
  const named = Object.entries(values).filter(([name]) => proposed?.includes(name) !== false);
  return new TextEncoder().encode(`${JSON.stringify({ capabilities: Object.fromEntries(named) })}\0`);
}

/** The names of the capabilities in a peer's text that {@link decodeCapabilities} takes. */
export function capabilityNames(text: Uint8Array): readonly string[] {
  return Object.keys(capabilityObject(text));
}

/**
 * Reads a peer's capabilities. Without any text it gives the specification's defaults. It ignores unknown names. A
 * string result says what is wrong.
 */
export function decodeCapabilities(text: Uint8Array): Capabilities | string {
  const values = capabilityObject(text);
  if (typeof values === "string") return values;
  const numbers: Partial<Record<NumberCapability["property"], number>> = {};
  for (const { key, property, absent, min, max } of NUMBERS) {
    const value = values[key] ?? absent;
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      return `${key} is ${JSON.stringify(value)}; it must be an integer from ${min} to ${max}`;
    }
    numbers[property] = value;
  }
  const writeMultiple = values["write_multiple"] ?? false;
  if (typeof writeMultiple !== "boolean") return "write_multiple is not a boolean";
  const twinSocket = decodeTwinSocket(values["twin_socket"] ?? {});
  if (typeof twinSocket === "string") return twinSocket;
  return { ...(numbers as Record<NumberCapability["property"], number>), writeMultiple, twinSocket };
}

function decodeTwinSocket(value: unknown): TwinSocket | undefined | string {
  if (!isObject(value)) return "twin_socket is not an object";
  const { supported = false, fd_index: fdIndex } = value;
  if (typeof supported !== "boolean") return "twin_socket.supported is not a boolean";
  if (fdIndex !== undefined && !(typeof fdIndex === "number" && Number.isInteger(fdIndex) && fdIndex >= 0))
    return "twin_socket.fd_index is not an index";
  return supported ? { fdIndex } : undefined;
}

function capabilityObject(text: Uint8Array): Readonly<Record<string, unknown>> | string {
  if (text.length === 0) return {};
  if (text.length > MAX_CAPABILITIES_TEXT)
    return `${text.length} bytes of JSON; at most ${MAX_CAPABILITIES_TEXT} are allowed`;
  if (text.indexOf(0) !== text.length - 1) return "the JSON text does not end with its only NUL";
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text.subarray(0, -1)));
  } catch {
    return "the text is not JSON";
  }
  if (!isObject(parsed)) return "the JSON value is not an object";
  const capabilities = parsed["capabilities"] ?? {};
  return isObject(capabilities) ? capabilities : "capabilities is not an object";
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
