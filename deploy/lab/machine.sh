# Prepares the machine for a lab: Debian packages and the virtual environment. Sourced by deploy/up,
# deploy/down and deploy/undercast.
# shellcheck shell=bash

fail() {
    echo "deploy: $*" >&2
    exit 1
}

require_root() { # COMMAND
    [ "$(id -u)" = 0 ] || fail "deploy/$1 makes network namespaces and must run as root: sudo deploy/$1"
}

require_debian() {
    local id='' version=''
    [ -r /etc/os-release ] && id=$(. /etc/os-release && echo "$ID") \
        && version=$(. /etc/os-release && echo "${VERSION_ID:-}")
    [ "$id" = debian ] || fail "this machine runs '${id:-an unknown system}'; a lab needs Debian 12"
    [ "$version" = 12 ] || echo "deploy: tried on Debian 12 only; this is Debian ${version:-unknown}" >&2
}

require_environment() { # ROOT
    [ -x "$1/.venv/bin/undercast" ] || fail "there is no virtual environment yet; run deploy/up first"
}

missing_packages() { # LIST-FILE; prints the packages of it that are not installed
    local wanted
    mapfile -t wanted < <(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1")
    comm -13 \
        <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
            sed -n 's/^installed //p' | sort -u) \
        <(printf '%s\n' "${wanted[@]}" | sort -u)
}

# No service of these packages may start by itself: not while they are installed (policy-rc.d), not
# at the next boot of the machine (units off), and Debian makes no Postgres cluster of its own.
install_packages() { # LIST-FILE
    local missing
    mapfile -t missing < <(missing_packages "$1")
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    ( # a subshell, so that its trap undoes policy-rc.d however it ends
        policy=/usr/sbin/policy-rc.d
        cluster=/etc/postgresql-common/createcluster.conf
        if [ ! -e $policy ]; then
            trap 'rm -f $policy' EXIT
            trap 'exit 130' INT TERM HUP
            printf '#!/bin/sh\nexit 101\n' >$policy
            chmod 755 $policy
        fi
        if [ ! -e $cluster ]; then
            mkdir -p "${cluster%/*}"
            echo 'create_main_cluster = false' >$cluster
        fi
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
        apt=(apt-get -q -y -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0)
        dpkg --configure -a --force-confold # finishes what a stopped run left half way
        "${apt[@]}" update
        "${apt[@]}" install --no-install-recommends "${missing[@]}"
    ) || fail "installing packages failed; mend the above (is the network there? try 'apt-get update') and run again"
    command -v systemctl >/dev/null || return 0
    local package
    for package in "${missing[@]}"; do
        case $package in
            postgresql) switch_off postgresql.service ;;
            redis-server) switch_off redis-server.service ;;
            libvirt-daemon-system) switch_off libvirtd.service libvirtd.socket libvirtd-ro.socket \
                libvirtd-admin.socket libvirt-guests.service virtlogd.socket virtlogd-admin.socket \
                virtlockd.socket virtlockd-admin.socket ;;
            nftables) switch_off nftables.service ;;
        esac
    done
}

switch_off() { # UNIT...
    systemctl disable --quiet "$@" >/dev/null 2>&1 ||
        echo "deploy: could not disable $*: it may start at the next boot" >&2
}

# The stamp is written last: an environment without it was stopped half way, or is out of date.
make_environment() { # ROOT
    local root=$1 python=$1/.venv/bin/python stamp=$1/.venv/.undercast wanted
    wanted=$(cd "$root" && cat pyproject.toml requirements.lock 2>/dev/null | sha256sum)
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    exec 9<"$root"
    flock 9 # another lab may be coming up from the same clone
    if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        echo "Making the virtual environment $root/.venv"
        "$python" -m pip --version >/dev/null 2>&1 || /usr/bin/python3 -m venv --clear "$root/.venv"
        if ! install_requirements "$root"; then
            echo "deploy: pip failed; once more in an empty environment" >&2
            /usr/bin/python3 -m venv --clear "$root/.venv"
            install_requirements "$root" ||
                fail "pip could not install the requirements; its message is above"
        fi
        echo "$wanted" >"$stamp"
    fi
    exec 9<&-
}

install_requirements() { # ROOT
    local pip=("$1/.venv/bin/python" -m pip --quiet --disable-pip-version-check
        --no-input install --root-user-action=ignore)
    if [ -e "$1/requirements.lock" ]; then
        "${pip[@]}" -r "$1/requirements.lock" && "${pip[@]}" --no-deps -e "$1"
    else
        "${pip[@]}" -e "$1"
    fi
}
