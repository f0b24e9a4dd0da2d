#!/bin/sh
# Creates Temporal's two databases, or updates them to this version's schema. It is safe to run again, also after an
# interruption. The password is in POSTGRES_PASSWORD, or in the file that POSTGRES_PASSWORD_FILE names.
set -eu

SQL_PASSWORD=${POSTGRES_PASSWORD:-$(cat "${POSTGRES_PASSWORD_FILE:?}")}
export SQL_PASSWORD

for database in temporal temporal_visibility; do
  schema=postgresql/v12/${database#temporal_}
  tool() {
    temporal-sql-tool --plugin postgres12 --endpoint "${POSTGRES_HOST:?}" --port "${POSTGRES_PORT:-5432}" \
      --user "${POSTGRES_USER:?}" --database "$database" "$@"
  }
  tool create-database
  tool setup-schema --version 0.0
  tool update-schema --schema-name "$schema"
done
echo 'the schema is set up'
