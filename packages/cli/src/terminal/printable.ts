/**
 * Text of others, as a terminal may show it: on one line, and without what would move its cursor, change its colours or turn
 * the direction of the text.
 */
export function printable(text: string): string {
  return text.replace(/[\s\u2028\u2029]+/gu, " ").replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd");
}
