#!/usr/bin/env bash
# Compiles the addon for musl (x86-64) and loads it with musl's loader. No registry has a Node for musl, so a small program takes
# Node's place: it has a function for each of Node-API's names, and the loader must find all others in the C library.
# Needs Debian's musl-tools. Some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v musl-gcc >/dev/null; then
  echo "musl-gcc is not installed. Remedy: apt-get install musl-tools" >&2
  exit 1
fi
bash scripts/build-musl.sh x64
addon=$PWD/prebuilds/linux-x64/vfio_native.musl.node
nm -D --undefined-only "$addon" | sed -nE 's/.* ((napi|uv|node_api)_[a-z0-9_]+)$/void \1(void) {}/p' >"$work/node-api.c"
musl-gcc -rdynamic -o "$work/load-alone" scripts/load-alone.c "$work/node-api.c"
"$work/load-alone" "$addon"
