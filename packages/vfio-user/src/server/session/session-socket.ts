import type { MessageSocket } from "../../socket/message-socket";

/** A socket as a session uses it. The fuzz test puts generated messages here. */
export type SessionSocket = Pick<MessageSocket, "input" | "output" | "next" | "takeFds" | "send">;
