#!/bin/sh
# Starts the Temporal server with the configuration beside this file. The password is in POSTGRES_PASSWORD, or in
# the file that POSTGRES_PASSWORD_FILE names; this script reads the file, because the server reads only the environment.
set -eu

POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?}")}
export POSTGRES_PASSWORD
# Without TEMPORAL_JWKS the server asks nobody for a token; --allow-no-auth confirms that this is intended.
exec temporal-server --root "$(dirname "$0")" --config config --env production --allow-no-auth start \
  --service frontend --service internal-frontend --service history --service matching --service worker
