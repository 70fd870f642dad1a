#!/bin/sh
# Installs the Debian packages that the named groups need and that are missing.
#
#   tools/deps.sh GROUP...        groups: build, check, demo, bench, fuzz, coverage,
#                                 aarch64; NO_DEPS=1 does nothing
#
# Nothing is installed, and the network is not touched, when nothing is missing. It never waits for
# an answer: without root it uses sudo only where there is a terminal to ask on.
set -eu

packages_of() {
    case $1 in
    build) echo gcc libc6-dev libpython3.11-dev liblua5.4-dev python3 systemtap-sdt-dev \
        libncurses-dev clang llvm bpftool libbpf-dev ;;
    check) echo check lua5.4 pkg-config g++ spin strace libpython3.11 libpython3.11-testsuite ;;
    demo) echo wrk ;;
    bench) echo wrk lua5.4 g++ pkg-config libnsync-dev libabsl-dev libck-dev ;;
    fuzz) echo clang libclang-rt-14-dev ;;
    coverage) echo gcovr ;;
    aarch64) echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user ;;
    *)
        echo "deps: unknown group '$1' (build, check, demo, bench, fuzz, coverage, aarch64)" >&2
        exit 2
        ;;
    esac
}

installed() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

[ -z "${NO_DEPS:-}" ] || exit 0

wanted=
for group in "$@"; do
    packages=$(packages_of "$group")
    wanted="$wanted $packages"
done

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system; install what these Debian packages hold, then use" \
        "NO_DEPS=1:$wanted" >&2
    exit 1
fi

missing=
for package in $wanted; do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    as_root=
elif [ -t 0 ] && command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "deps: packages are missing; as root: apt-get update && $install (NO_DEPS=1 goes on" \
        "without)" >&2
    exit 1
fi

echo "deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
if ! $as_root apt-get -q update || ! $as_root $install; then
    echo "deps: apt-get failed (see above); NO_DEPS=1 goes on without these packages" >&2
    exit 1
fi
