declare module "node-gyp-build" {
  /** Loads the addon that fits this process from `<directory>/prebuilds`; throws when there is none. */
  function load(directory: string): unknown;
  export = load;
}
