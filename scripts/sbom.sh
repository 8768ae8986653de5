#!/usr/bin/env bash
# sbom.sh TARBALLS: prints the bill of materials (CycloneDX, JSON) of what npm installs for the packages in this folder, which
# published-packages.cjs --pack wrote.
set -euo pipefail
tarballs=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "name": "vfio-selftests", "version": "0.0.0", "private": true, "license": "MIT" }' >package.json
# All addons belong to a release, also those for other machines than this one.
npm install --force --ignore-scripts --no-audit --no-fund --loglevel=error "$tarballs"/*.tgz >&2
npm sbom --omit=dev --sbom-format=cyclonedx --sbom-type=application
