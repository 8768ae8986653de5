import { native } from "@vfio-selftests/native";
import type { TwinSocket as TwinSocketOffer } from "../../protocol/capabilities";
import { TYPE_MASK, TYPE_REPLY } from "../../protocol/structs";
import { MessageSocket } from "../../socket/message-socket";
import { DMA_MESSAGE_SIZE } from "../dma/message-dma";

/** The server's end of a connection for its own requests, apart from the client's. Neither waits behind the other. */
export class TwinSocket extends MessageSocket {
  /** The client's end, until the server has sent it. */
  #clientFd: number;

  /** Undefined if the system has no descriptors left. */
  static create(): TwinSocket | undefined {
    const pair = native.socketpair();
    return typeof pair === "number" ? undefined : new TwinSocket(pair[0], pair[1]);
  }

  private constructor(fd: number, clientFd: number) {
    super(fd, DMA_MESSAGE_SIZE);
    this.#clientFd = clientFd;
  }

  /** Whether the current message is a reply. */
  get isReply(): boolean {
    return (this.input.flags & TYPE_MASK) === TYPE_REPLY;
  }

  /** Adds the client's end to the descriptors of a reply. Returns the capability that says so. */
  offer(fds: number[]): TwinSocketOffer {
    return { fdIndex: fds.push(this.#clientFd) - 1 };
  }

  /** Closes the client's end, once the reply has been sent or never will be. */
  offered(): void {
    if (this.#clientFd >= 0) native.close(this.#clientFd);
    this.#clientFd = -1;
  }

  override close(): void {
    this.offered();
    super.close();
  }
}
