#!/bin/sh
# Starts a program of an unpacked image as a container runtime would: the image is the whole file system and read-only, the
# program runs as the image's user, without capabilities and without a way to get any. The network is that of the machine.
# Needs user namespaces, and no rights.
#
#   contained.sh ROOT UID:GID PROGRAM [ARGUMENT ...]
#
# KUBECONFIG is a file of this machine; in there its API server is called API_SERVER_NAME, if that is set.
set -eu

unshare --user --map-root-user --mount true || {
    echo "To start an image, the tests need user namespaces: sysctl kernel.unprivileged_userns_clone=1 on some" >&2
    echo "distributions, a container that is privileged, or another machine." >&2
    exit 1
}
root=$1
mkdir -p "$root/proc" "$root/dev"
# The only device that there is. Random numbers come from the kernel by a call.
: >"$root/dev/null"
if [ -n "${KUBECONFIG:-}" ]; then
    credentials=$(dirname "$KUBECONFIG")
    mkdir -p "$root$credentials"
    sed "s,\"https://127.0.0.1:,\"https://${API_SERVER_NAME:-127.0.0.1}:,
         s,\"server\":,\"tls-server-name\":\"127.0.0.1\"\,\"server\":," "$KUBECONFIG" >"$root/etc/kubeconfig"
    KUBECONFIG=/etc/kubeconfig
    export KUBECONFIG credentials
fi
unset SSL_CERT_FILE SSL_CERT_DIR

# The second namespace gives up being root in the first, and with that every capability.
exec unshare --user --map-root-user --mount sh -euc '
    root=$1 uid=${2%:*} gid=${2#*:}
    shift 2
    mount --bind "$root" "$root"
    mount --rbind /proc "$root/proc"
    mount --bind /dev/null "$root/dev/null"
    [ -z "${credentials:-}" ] || mount --bind "$credentials" "$root$credentials"
    mount -o remount,bind,ro "$root"
    exec setpriv --no-new-privs unshare --user --map-user="$uid" --map-group="$gid" --root="$root" --wd=/ "$@"
' sh "$@"
