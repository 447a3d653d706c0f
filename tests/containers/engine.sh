#!/usr/bin/env bash
# A Docker engine of its own, for as long as somebody holds its standard input open: engine.sh GROUP
# Runs as root. When the images are there, the one line that it prints is "ready SOCKET API-VERSION"; members of GROUP may use the socket.
#
# Everything that it starts lives in a process namespace, whose first process is serve.sh, and in a mount namespace. When the input ends, in
# whatever way its holder died, serve.sh ends, and the kernel ends with it dockerd, containerd, every container and every mount. What is left
# to undo here is a folder, a network device and the control groups, which have a name of their own for that.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
group="$1"

die() { echo "engine.sh: $*" >&2; exit 1; }

# The suite of this machine, from where apt has it.
debian() { # CODENAME
  apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
    awk -v codename="$1" '$1 == codename && $2 == "main" { print $3; exit }'
}
codename="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")"
mirror="$(debian "$codename")"
if [[ -z "$mirror" ]]; then
  apt-get update -qq >&2 || true # a fresh image has no lists
  mirror="$(debian "$codename")"
fi
[[ -n "$mirror" ]] || die "apt's sources have no Debian '$codename'; the images are made from its packages"

# Not in /tmp, which may be mounted without devices, and then Debian cannot be unpacked there.
folder="$(mktemp -d -p "${TMPDIR:-/var/tmp}" gateway-containers.XXXXXX)"
name="gwtests$$"

cleanup() {
  ip link delete "$name" 2>/dev/null || true
  find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null || true
  rm -rf --one-file-system "$folder"
}
trap cleanup EXIT
# Only the end of the input ends it; a signal waits for that.
trap : HUP INT TERM

chmod 711 "$folder"
ip link add name "$name" type bridge
ip link set "$name" up
setpriv --pdeathsig KILL \
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
  "$here/serve.sh" "$folder" "$name" "$group" "$codename" "$mirror"
