# Sourced by the scripts that build: installs what is missing and configures.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc)

# install_packages GROUP...: those of .ci/packages that aren't there, through apt.
install_packages() {
    command -v apt-get >/dev/null || return 0
    local group name missing=() sudo=()
    for group in "$@"; do
        for name in $(sed -n "s/^$group  *//p" "$root/.ci/packages"); do
            dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' ||
                missing+=("$name")
        done
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing ${missing[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}" >/dev/null
}

# build_in NAME TARGET OPTION...: configures and builds TARGET in build/NAME; sets $build.
build_in() {
    build=${KL_BUILD_ROOT:-$root/build}/$1
    local target=$2
    shift 2
    mkdir -p "$(dirname "$build")"
    local generator=()
    command -v ninja >/dev/null && generator=(-G Ninja)
    cmake -S "$root" -B "$build" "${generator[@]}" "$@" >"$build.log" 2>&1 ||
        { cat "$build.log"; return 1; }
    cmake --build "$build" --target "$target" -j "$jobs" >"$build.log" 2>&1 ||
        { tail -n 100 "$build.log"; return 1; }
}
