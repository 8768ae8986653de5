declare module "node-gyp-build" {
  /** Loads the addon that fits this process from `<directory>/prebuilds`; throws when there is none. */
  function load(directory: string): unknown;
  namespace load {
    /** The file that it would load. */
    function path(directory: string): string;
  }
  export = load;
}
