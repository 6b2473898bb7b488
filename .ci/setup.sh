# What the scripts beside this file share: it is sourced, and brings in what a fresh Debian machine lacks.
# shellcheck shell=bash

say() { printf '\n== %s\n' "$*" >&2; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# as_root COMMAND...: runs it as root, through sudo if need be.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*"
    fi
}

# need FILE=PACKAGE...: installs the Debian packages whose file is not there.
need() {
    local pair lacking=()
    for pair in "$@"; do
        [ -e "${pair%%=*}" ] || lacking+=("${pair#*=}")
    done
    [ ${#lacking[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "install these first (this machine has no apt-get): ${lacking[*]}"
    say "installing ${lacking[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "${lacking[@]}" >&2
    for pair in "$@"; do
        [ -e "${pair%%=*}" ] || fail "the package ${pair#*=} did not bring ${pair%%=*}"
    done
}

# need_cargo COMPONENT...: cargo must be there; rustup can add the components that are not.
need_cargo() {
    [ -n "${CARGO_HOME:-}" ] || [ ! -d "$HOME/.cargo/bin" ] || PATH="$HOME/.cargo/bin:$PATH"
    command -v cargo >/dev/null ||
        fail "cargo is missing: install Rust $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later (https://rustup.rs)"
    local component
    for component in "$@"; do
        cargo "$component" --version >/dev/null 2>&1 || {
            command -v rustup >/dev/null || fail "cargo $component is missing, and there is no rustup to add it"
            rustup component add "${component/fmt/rustfmt}" >&2
        }
    done
}

# busybox_rootfs OUT.tar: a root filesystem with nothing but Debian's static busybox.
busybox_rootfs() (
    dir=$(mktemp -d)
    trap 'rm -rf "$dir"' EXIT
    umask 022
    mkdir -p "$dir"/{bin,dev,etc,proc,root,sys,usr/bin}
    mkdir -m 1777 "$dir/tmp"
    cp "$(readlink -e /bin/busybox)" "$dir/bin/busybox"
    for applet in $(/bin/busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$dir/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$dir/etc/passwd"
    printf 'root:x:0:\nnobody:x:65534:\n' >"$dir/etc/group"
    tar -C "$dir" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@315532800 -cf "$1" .
)
