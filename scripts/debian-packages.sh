#!/bin/sh
# Installs the missing Debian (Ubuntu) packages and prints their names. Needs root.
#   bubblewrap    the sandbox of every run
#   python3-venv  makes the environment of uv, unless uv is installed
# With --tests also what the suite `production` needs:
#   postgresql    the database of docker-compose.yml
#   chromium      opens the Temporal UI
#   openssl       certificates
#   systemd       checks the units of deploy/systemd; starts nothing
set -eu

missing=''
command -v bwrap >/dev/null || missing="$missing bubblewrap"
if ! command -v uv >/dev/null && ! python3 -c 'import ensurepip' 2>/dev/null; then
  missing="$missing python3-venv"
fi

if [ "${1:-}" = --tests ]; then
  ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing postgresql"
  [ -x /usr/bin/chromium ] || missing="$missing chromium"
  command -v openssl >/dev/null || missing="$missing openssl"
  command -v systemd-analyze >/dev/null || missing="$missing systemd"
fi

if [ -z "$missing" ]; then
  echo 'Debian packages: all are installed'
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "error: missing:$missing, and apt-get is not available: install them with your system's package manager" >&2
  exit 7
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "error: missing:$missing, and installing them needs root: sudo apt-get install$missing" >&2
  exit 7
fi

echo "Debian packages: installing$missing"
apt-get update -qq
# shellcheck disable=SC2086 # one word a package
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing
