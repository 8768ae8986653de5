/**
 * One mapped range of I/O virtual addresses. Both ends are inclusive, so that the last page of the 64-bit space fits.
 */
export interface IovaRangeEntry {
  readonly start: bigint;
  readonly last: bigint;
}

/**
 * Disjoint, sorted ranges of I/O virtual addresses. A look-up is a binary search, or immediate when it hits the last
 * result again.
 */
export class IovaMap<Entry extends IovaRangeEntry> implements Iterable<Entry> {
  readonly #entries: Entry[] = [];
  #recent: Entry | undefined;

  get size(): number {
    return this.#entries.length;
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#entries[Symbol.iterator]();
  }

  /** The range that `iova` lies in. */
  find(iova: bigint): Entry | undefined {
    const recent = this.#recent;
    if (recent !== undefined && iova >= recent.start && iova <= recent.last) return recent;
    const entry = this.#entries[this.#firstEndingAtOrAfter(iova)];
    if (entry === undefined || iova < entry.start) return undefined;
    this.#recent = entry;
    return entry;
  }

  /** The range of `iova` and the ranges after it, at most `most`, as long as each `continues` the one before it. */
  following(iova: bigint, most: number, continues: (entry: Entry, before: Entry) => boolean): Entry[] {
    const first = this.#firstEndingAtOrAfter(iova);
    let before = this.#entries[first];
    if (before === undefined || iova < before.start) return [];
    let end = first + 1;
    for (; end < first + most; end += 1) {
      const entry = this.#entries[end];
      if (entry === undefined || !continues(entry, before)) break;
      before = entry;
    }
    return this.#entries.slice(first, end);
  }

  /** Whether any range has an address in start..last. */
  overlaps(start: bigint, last: bigint): boolean {
    const entry = this.#entries[this.#firstEndingAtOrAfter(start)];
    return entry !== undefined && entry.start <= last;
  }

  /** Adds a range. False if it overlaps an existing one. */
  add(entry: Entry): boolean {
    const index = this.#firstEndingAtOrAfter(entry.start);
    const next = this.#entries[index];
    if (next !== undefined && next.start <= entry.last) return false;
    if (index === this.#entries.length) this.#entries.push(entry);
    else this.#entries.splice(index, 0, entry);
    return true;
  }

  /** Removes and returns the ranges that lie wholly inside start..last. Ranges that reach outside stay. */
  removeInside(start: bigint, last: bigint): Entry[] {
    let index = this.#firstEndingAtOrAfter(start);
    if ((this.#entries[index]?.start ?? start) < start) index += 1;
    let end = index;
    while ((this.#entries[end]?.last ?? last + 1n) <= last) end += 1;
    this.#recent = undefined;
    return this.#entries.splice(index, end - index);
  }

  /** A range that start..last cuts in two. There is at most one at either end. */
  cutBy(start: bigint, last: bigint): Entry | undefined {
    const first = this.find(start);
    if (first !== undefined && (first.start < start || first.last > last)) return first;
    const end = this.find(last);
    return end !== undefined && (end.start < start || end.last > last) ? end : undefined;
  }

  clear(): Entry[] {
    this.#recent = undefined;
    return this.#entries.splice(0);
  }

  #firstEndingAtOrAfter(iova: bigint): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Entry).last < iova) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
