#!/bin/sh
# What the tests need of the system: PostgreSQL, to run the catalogue on it, and Chromium, to open the web app in.
# Installed when apt is here and we may; otherwise those tests say that they were skipped, and why.
set -eu
missing=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="postgresql"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null 2>&1 || exit 0
[ "$(id -u)" = 0 ] || exit 0
echo "installing for the tests:" $missing
(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing) >/dev/null 2>&1 ||
  echo "they could not be installed; their tests will be skipped:" $missing
