#!/bin/sh
# Installs the Debian (Ubuntu) packages that are missing on this machine, and says which. Needs root.
#   bubblewrap    the sandbox of every run
#   python3-venv  to make an environment for uv, where uv is not installed
# With --tests also what the suite `production` runs:
#   postgresql    the database of docker-compose.yml
#   chromium      to look at the Temporal UI
#   openssl       certificates
#   systemd       to check the units of deploy/systemd; nothing of it is started
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
  echo 'Debian packages: nothing is missing'
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "error: missing:$missing, and there is no apt-get: install them as your system does" >&2
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
