import { CALL_DROPPED, REFERENCE_DROPPED } from "./call";
import { CONDITION_ALWAYS, CONDITION_NEGATED, CONDITION_NEVER } from "./condition";
import { ERRNO } from "./errno";
import { FLAG } from "./flag";
import { LOCK_DROPPED } from "./lock";
import { OFF_BY_ONE } from "./off-by-one";
import type { Operator } from "./operator";
import { TOLD } from "./told";

/** Every kind of fault. */
export const OPERATORS: readonly Operator[] = [
  CONDITION_NEGATED,
  CONDITION_NEVER,
  CONDITION_ALWAYS,
  OFF_BY_ONE,
  CALL_DROPPED,
  REFERENCE_DROPPED,
  LOCK_DROPPED,
  ERRNO,
  FLAG,
  TOLD,
];
