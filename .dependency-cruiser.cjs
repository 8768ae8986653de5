// Imports between packages run only downward in this list (docs/architecture.md, "Packages").
const order = [
  ["native"],
  ["core"],
  ["coverage"],
  [
    "harness",
    "iommu-modes",
    "vfio-user",
    "driver-ioat",
    "driver-dsa",
    "driver-igb",
    "driver-nv-falcon",
    "driver-nvme",
    "kvm",
  ],
  ["device-models"],
  ["suites"],
  ["lab"],
  ["mutants"],
  ["cli"],
  ["bench", "tests"],
];
// A driver may use nothing that a vendor's private package could not.
const driverAllowed = "core";

const rules = order.map((names, level) => ({
  name: `below-${names.join("-")}`,
  comment: `${names.join(", ")} may import only packages above them in the list`,
  severity: "error",
  from: { path: `^packages/(${names.join("|")})/src/` },
  to: {
    path: `^packages/(${[...order.slice(level + 1).flat(), ...names].join("|")})/`,
    pathNot: names.map((name) => `^packages/${name}/`).length === 1 ? [`^packages/${names[0]}/`] : [],
  },
}));
// Packages of one level do not import each other, but each imports itself.
for (const rule of rules.filter((_, level) => order[level].length > 1)) {
  rule.from.path = rule.from.path.replace("^packages/(", "^packages/(?:").replace("(?:", "(");
  rule.to.pathNot = "^packages/$1/";
}

// Inside core a folder imports only folders before it in this list (packages/core/README.md, "Inside"). Tests may import any.
const coreLayers = [
  "errors",
  "ownership",
  "waits",
  "contracts",
  "uapi",
  "sysfs",
  "memory",
  "iommu",
  "backend",
  "interrupts",
  "pci",
  "driver",
  "testing",
];
const coreRules = coreLayers.slice(0, -1).map((layer, level) => ({
  name: `core-${layer}`,
  comment: `core's ${layer} may import only the layers before it: ${coreLayers.slice(0, level).join(", ") || "none"}`,
  severity: "error",
  from: { path: `^packages/core/src/${layer}/`, pathNot: "[.]test[.]ts$" },
  to: { path: `^packages/core/src/(index[.]ts|(${coreLayers.slice(level + 1).join("|")})/)` },
}));

module.exports = {
  forbidden: [
    ...rules,
    ...coreRules,
    {
      name: "drivers-on-core-alone",
      severity: "error",
      from: { path: "^packages/driver-[a-z-]+/src/", pathNot: "[.]test[.]ts$" },
      to: { path: "^packages/", pathNot: [`^packages/${driverAllowed}/`, "^packages/driver-"] },
    },
    {
      name: "harness-on-core-alone",
      comment: "Any test project can use the harness, also one that knows nothing of our modes and suites",
      severity: "error",
      from: { path: "^packages/harness/src/" },
      to: { path: "^packages/", pathNot: ["^packages/(core|harness)/"] },
    },
    {
      name: "suites-know-no-device",
      comment:
        "Drivers, device models and KVM reach the suites through their target: whoever runs them brings what they test",
      severity: "error",
      from: { path: "^packages/suites/src/" },
      to: { path: "^packages/(driver-[a-z-]+|device-models|vfio-user|kvm)/" },
    },
    {
      name: "declared",
      comment: "Every import is a dependency that the package declares; an undeclared one does not resolve",
      severity: "error",
      from: { path: "^packages/[^/]+/src/" },
      to: { couldNotResolve: true },
    },
    {
      name: "no-circular",
      comment: "Also of types alone: two files that need each other are one idea, or lack a third below them",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "only-the-entry-of-a-package",
      comment: "A package is used through its index (or an export it declares), never through a file inside",
      severity: "error",
      from: { path: "^packages/([^/]+)/src/" },
      to: { path: "^packages/([^/]+)/src/", pathNot: "^packages/$1/src/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "(^|/)(dist|gyp)/.*[.](map)$" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.base.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["require", "node", "default"] },
  },
};
