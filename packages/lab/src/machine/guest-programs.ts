/** Node in a guest whose root is a tree of its own. */
export const GUEST_NODE = "/usr/bin/node";

/** Where that guest keeps npm packages with programs for its CPU, which take the place of the project's. */
export const GUEST_MODULES = "/usr/lib/node_modules";

/** Where that guest mounts the run's folder. */
export const GUEST_RUN_FOLDER = "/lab";
