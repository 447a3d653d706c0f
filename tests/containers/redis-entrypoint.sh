#!/bin/sh
# As in the usual image of Redis: options alone are redis-server's, the server is not root, and whoever reaches its port is let in.
set -eu
case "${1:-}" in -*) set -- redis-server "$@" ;; esac
if [ "$1" = redis-server ]; then
  shift
  set -- setpriv --reuid redis --regid redis --clear-groups redis-server --dir /var/lib/redis --protected-mode no "$@"
fi
exec "$@"
