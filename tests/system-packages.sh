#!/bin/sh
# PostgreSQL for the tests that run the catalogue on it. Installed when apt is here and we may; otherwise those
# tests say that they were skipped, and why.
set -eu
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
[ "$(id -u)" = 0 ] || exit 0
echo "installing PostgreSQL for the tests"
(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql) >/dev/null 2>&1 ||
  echo "PostgreSQL could not be installed; its tests will be skipped"
