#!/bin/sh
# As in the usual image of PostgreSQL: options alone are the server's; POSTGRES_USER is its superuser, with POSTGRES_PASSWORD, and
# POSTGRES_DB is made if it is another database than "postgres". Only then does the server listen on the network.
set -eu
case "${1:-}" in -*) set -- postgres "$@" ;; esac
if [ "$1" != postgres ]; then exec "$@"; fi
shift

bin="$(echo /usr/lib/postgresql/*/bin)"
data=/var/lib/postgresql/data
user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"
as_server() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }

if [ ! -s "$data/PG_VERSION" ]; then
  install -d -o postgres -g postgres -m 700 "$data"
  password="$(mktemp)"
  printf '%s\n' "${POSTGRES_PASSWORD:?must be set}" >"$password"
  chown postgres "$password"
  as_server "$bin/initdb" -D "$data" --no-sync --username="$user" --pwfile="$password" --encoding=UTF8 --locale=C.UTF-8 \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  rm "$password"
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  if [ "$database" != postgres ]; then
    echo "CREATE DATABASE \"$database\"" | as_server "$bin/postgres" --single -D "$data" -j postgres >/dev/null
  fi
fi

exec setpriv --reuid postgres --regid postgres --init-groups \
  "$bin/postgres" -D "$data" -c listen_addresses=* -c unix_socket_directories=/tmp "$@"
