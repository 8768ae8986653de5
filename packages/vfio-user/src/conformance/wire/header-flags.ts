/** The flags of the section "Header", by hand as the numbers of the commands. */
export const TYPE_MASK = 0xf;
export const COMMAND = 0;
export const REPLY = 1;
export const NO_REPLY = 0x10;
export const ERROR = 0x20;

interface Flagged {
  readonly flags: number;
}

export function isCommand({ flags }: Flagged): boolean {
  return (flags & TYPE_MASK) === COMMAND;
}

export function isReply({ flags }: Flagged): boolean {
  return (flags & TYPE_MASK) === REPLY;
}

export function isError({ flags }: Flagged): boolean {
  return (flags & ERROR) !== 0;
}
