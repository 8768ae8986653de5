/** Something that can be closed before its owner. */
interface Handle {
  readonly closed: boolean;
  close(): void;
}

/** The handles that an owner has opened and closes with itself, such as the devices of an address space. */
export class OwnedHandles<Owned extends Handle> {
  readonly #handles = new Set<Owned>();

  /** Returns the handle. Drops handles that were closed meanwhile. */
  add(handle: Owned): Owned {
    for (const known of this.#handles) if (known.closed) this.#handles.delete(known);
    this.#handles.add(handle);
    return handle;
  }

  /** The steps that close the handles, the last opened first. This object keeps the handles no longer. */
  closing(): (() => void)[] {
    const handles = [...this.#handles].reverse();
    this.#handles.clear();
    return handles.map((handle) => () => handle.close());
  }
}
