#!/bin/sh
# Starts the Temporal server with the configuration beside this file. The password is in POSTGRES_PASSWORD, or in
# the file that POSTGRES_PASSWORD_FILE names: the server itself reads the environment only.
set -eu

POSTGRES_PASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?}")}
export POSTGRES_PASSWORD
# Nobody is asked for a token unless TEMPORAL_JWKS is set: the server wants to hear that this is meant.
exec temporal-server --root "$(dirname "$0")" --config config --env production --allow-no-auth start \
  --service frontend --service internal-frontend --service history --service matching --service worker
