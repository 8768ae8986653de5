import { type Operator, wrapValue } from "./operator";

/** For each errno another one, which a user would take for another reason. */
const OTHER: Readonly<Record<string, string>> = {
  EINVAL: "EPERM",
  EPERM: "EINVAL",
  EACCES: "EINVAL",
  EBUSY: "EINVAL",
  ENOENT: "EINVAL",
  ENODEV: "ENOENT",
  EEXIST: "EINVAL",
  EFAULT: "EINVAL",
  ENOTTY: "EINVAL",
  EOPNOTSUPP: "EINVAL",
  ENOSPC: "ENOMEM",
};
const ANY_OTHER = "EIO";

export const ERRNO: Operator = {
  name: "errno-exchanged",
  summary: "an error has another number",
  find({ node }, text) {
    if (node.type !== "unary_expression" || node.parent?.type === "binary_expression") return [];
    const piece = { start: node.startIndex, end: node.endIndex };
    const name = /^-(E[A-Z0-9]+)$/.exec(text.slice(piece.start, piece.end))?.[1];
    if (name === undefined) return [];
    const faulty = `-${OTHER[name] ?? ANY_OTHER}`;
    return [{ ...piece, faulty, wrappers: [wrapValue(piece, faulty)] }];
  },
};
