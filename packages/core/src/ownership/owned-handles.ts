/** Something that can be closed before its owner. */
interface Handle {
  readonly closed: boolean;
  close(): void;
}

/** What an owner has opened, and closes when it is closed itself: the devices of an address space. */
export class OwnedHandles<Owned extends Handle> {
  readonly #handles = new Set<Owned>();

  /** Gives the handle back. Forgets those that were closed meanwhile. */
  add(handle: Owned): Owned {
    for (const known of this.#handles) if (known.closed) this.#handles.delete(known);
    this.#handles.add(handle);
    return handle;
  }

  /** The steps that close them, the last opened first; they are no longer kept here. */
  closing(): (() => void)[] {
    const handles = [...this.#handles].reverse();
    this.#handles.clear();
    return handles.map((handle) => () => handle.close());
  }
}
