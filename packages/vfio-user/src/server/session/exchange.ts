import type { StructView } from "@vfio-selftests/core/uapi";
import type { ServedDevice } from "../served-device";

/** A request with a checked shape, and the place for its reply. */
export interface Exchange {
  readonly device: ServedDevice;
  /** Fields and tail of the request. */
  readonly request: StructView;
  readonly requestData: DataView;
  /** Bytes of the request's body. */
  readonly length: number;
  /** Descriptors that came with it. A handler removes those that it keeps. */
  readonly fds: number[];
  /** Fields and tail of the reply, not zeroed. */
  readonly reply: StructView;
  readonly replyData: DataView;
  /** Descriptors to send with the reply. The model keeps them. */
  readonly replyFds: number[];
}

/** Serves one command. Returns the bytes of the reply's body, or `-errno`. */
export type Handler = (exchange: Exchange) => number;
