/** Whether something works here; if not, why, and what the user can do about it. */
export type Availability =
  { readonly available: true } | { readonly available: false; readonly reason: string; readonly remedy: string };
