#!/usr/bin/env bash
# The first process of engine.sh's namespaces: serve.sh FOLDER NAME GROUP CODENAME MIRROR
# Starts dockerd and makes the images. Ends when its standard input ends, or when one of the two fails, and takes everything with it.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
folder="$1" name="$2" group="$3" codename="$4" mirror="$5"

# Debian's own client before any other, because it fits the engine.
export PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH" DOCKER_HOST="unix://$folder/docker.sock" DOCKER_CONFIG="$folder/client"
unset DOCKER_API_VERSION DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH

# In this mount namespace only: the machine's own engine, if it has one, and its settings are out of sight, and nothing is written there.
mount -t tmpfs tmpfs /run
[[ ! -d /etc/docker ]] || mount -t tmpfs tmpfs /etc/docker

# Ports are published on loopback, by Docker's proxy; no rule of the machine's firewall and no setting of its network is touched.
serve() {
  exec dockerd --host "$DOCKER_HOST" --group "$group" --pidfile "$folder/dockerd.pid" --data-root "$folder/data" --exec-root "$folder/exec" \
    --bridge "$name" --ip 127.0.0.1 --ip-forward=false --ip-masq=false --iptables=false --ip6tables=false \
    --cgroup-parent "/$name" --exec-opt native.cgroupdriver=cgroupfs >"$folder/dockerd.log" 2>&1
}

# image NAME CHANGE...: the imported Debian, with what an image says of itself.
image() {
  local name="$1" change changes=() container
  shift
  for change in "$@"; do changes+=(--change "$change"); done
  container="$(docker create --network none gateway-tests/debian true)"
  docker commit "${changes[@]}" "$container" "gateway-tests/$name" >/dev/null
  docker rm "$container" >/dev/null
}

# Both servers in one Debian, because to unpack it takes the time. What only a person or apt would read is left out.
make_images() {
  local debian="$folder/debian"
  debootstrap --variant=minbase --include=redis-server,postgresql "$codename" "$debian" "$mirror" >"$folder/debootstrap.log" 2>&1 || {
    tail -n 20 "$folder/debootstrap.log" >&2
    exit 1
  }
  install -m 755 "$here"/{redis,postgres}-entrypoint.sh "$debian/usr/local/bin/"
  until docker version >/dev/null 2>&1; do sleep 0.1; done
  tar -C "$debian" -cf - --exclude=./var/cache/apt/* --exclude=./var/lib/apt/lists/* --exclude=./usr/share/{doc,man,locale} . |
    docker import - gateway-tests/debian >/dev/null
  rm -rf "$debian"
  image redis 'ENTRYPOINT ["redis-entrypoint.sh"]' 'CMD ["redis-server"]' 'EXPOSE 6379'
  image postgres 'ENTRYPOINT ["postgres-entrypoint.sh"]' 'CMD ["postgres"]' 'EXPOSE 5432'
  echo "ready $DOCKER_HOST $(docker version --format '{{.Server.APIVersion}}')"
  exec sleep infinity
}

exec 3<&0 </dev/null
cat <&3 >/dev/null &
holder=$!
exec 3<&-
serve &
engine=$!
make_images &
status=0
wait -n -p ended || status=$?
if [[ "$ended" == "$holder" ]]; then exit 0; fi
if [[ "$ended" == "$engine" ]]; then tail -n 20 "$folder/dockerd.log" >&2; fi
exit "$((status == 0 ? 1 : status))"
