#!/usr/bin/env bash
# Run the default suite with a Python of Debian sid, where this machine has none of that version:
#
#     bash tests/in_sid.sh 3.15 [arguments of pytest]
#
# It runs in a chroot, which is made once and kept: 800 MB in $TOGAI_SID, or in /var/tmp/togai-shipper-sid.
# Where that cannot be had, it says why, and exits with 77.
set -euo pipefail

version=$1
shift
root=${TOGAI_SID:-/var/tmp/togai-shipper-sid}
project=$(cd "$(dirname "$0")/.." && pwd)

skip() {
    echo "skipped: no Python $version of Debian sid, for $*"
    exit 77
}

# What is mounted for a command is gone with it, however it ends.
inside() {
    unshare --mount --propagation private bash -euc '
        root=$1 project=$2
        shift 2
        for each in proc sys dev; do mount --rbind "/$each" "$root/$each"; done
        mount --bind "$project" "$root/project"
        mount -t tmpfs tmpfs "$root/tmp"
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$@"
    ' inside "$root" "$project" "$@"
}

[ "$(id -u)" = 0 ] || skip 'a chroot needs root'
for tool in debootstrap unshare; do
    command -v "$tool" > /dev/null || skip "$tool is not installed"
done

if [ ! -d "$root" ]; then
    echo "making $root"
    rm -rf "$root.new" # of one that was interrupted
    unshare --mount --propagation private debootstrap --variant=minbase --include=ca-certificates \
        sid "$root.new" http://deb.debian.org/debian > "$root.log" 2>&1 || skip "debootstrap failed: $(tail -1 "$root.log")"
    mkdir "$root.new/project"
    mv "$root.new" "$root"
fi
# The names that this machine knows, and the certificates that it trusts.
for each in /etc/hosts /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e "$each" ] || cp -L "$each" "$root$each"
done

python=/venv-$version/bin/python
if [ ! -e "$root/venv-$version/bin/pip" ]; then # which comes last
    {
        inside apt-get -qq -o Acquire::Check-Valid-Until=false update && # a mirror may stand still
            inside apt-get -qq install --no-install-recommends "python$version" "python$version-venv" &&
            inside "python$version" -m venv "/venv-$version"
    } > "$root.log" 2>&1 || skip "it cannot be installed: $(tail -1 "$root.log")"
fi
inside "$python" -m pip install --quiet --root-user-action=ignore -e '/project[test]'
inside sh -c 'cd /project && exec "$@"' sh "$python" -m pytest --quiet "$@"
