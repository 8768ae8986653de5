#!/usr/bin/env bash
# Compiles the addon for musl and loads it with musl's loader, on arm64 under emulation. No registry has a Node for musl, so
# something else has a function for each of Node-API's names, and the loader must find all others in the C library: on x64 a
# small program, on arm64 a library that the loader takes before the addon. Needs an x86-64 Debian with the packages musl-tools,
# qemu-user and gcc-aarch64-linux-gnu. Some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR=${ZIG_GLOBAL_CACHE_DIR:-$work/zig-cache}

for tool in musl-gcc:musl-tools qemu-aarch64:qemu-user aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu; do
  if ! command -v "${tool%:*}" >/dev/null; then
    echo "${tool%:*} is not installed. Remedy: apt-get install ${tool#*:}" >&2
    exit 1
  fi
done

# node_api ADDON : writes a C file with the functions of Node that the addon calls.
node_api() {
  nm -D --undefined-only "$1" | sed -nE 's/.* ((napi|uv|node_api)_[a-z0-9_]+)$/void \1(void) {}/p'
}

bash scripts/build-musl.sh
x64=$PWD/platforms/linux-x64-musl/vfio_native.node
node_api "$x64" >"$work/x64.c"
musl-gcc -rdynamic -o "$work/load-alone" scripts/load-alone.c "$work/x64.c"
"$work/load-alone" "$x64"

# apt takes another CPU's package into folders of ours, and the system stays as it is.
apt=(apt-get -qq -o APT::Architectures::=amd64 -o APT::Architectures::=arm64 -o APT::Sandbox::User=root
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/apt")
mkdir -p "$work/lists/partial" "$work/apt/archives/partial" "$work/musl"
"${apt[@]}" update
(cd "$work/musl" && "${apt[@]}" download musl:arm64 && dpkg -x musl_*.deb .)
arm64=$PWD/platforms/linux-arm64-musl/vfio_native.node
node_api "$arm64" >"$work/arm64.c"
aarch64-linux-gnu-gcc -shared -fPIC -nostdlib -o "$work/node-api.so" "$work/arm64.c"
# `--list` resolves every symbol, as loading does, and fails where one is missing.
qemu-aarch64 "$work/musl/lib/aarch64-linux-musl/libc.so" --preload "$work/node-api.so" --list "$arm64" >/dev/null
echo "loaded on arm64: the C library has every symbol"
