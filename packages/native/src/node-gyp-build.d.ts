declare module "node-gyp-build" {
  /** Loads the addon that fits this process from `<directory>/prebuilds`. Throws when there is none. */
  function load(directory: string): unknown;
  namespace load {
    /** The file that `load` would load. */
    function path(directory: string): string;
  }
  export = load;
}
