#!/bin/sh
# A researcher out of Codex CLI in headless mode:
#   npx autoresearch start --lab LAB --researcher command --command "$PWD/examples/codex.sh"
# Its events give the tokens of each turn and its last message; they name no price.
context=$(mktemp) && trap 'rm -f "$context"' EXIT && cat >"$context" || exit 1

codex exec --json --sandbox workspace-write --skip-git-repo-check "You improve a small training lab. $context is a JSON
file with the context: program (what to do), metric, budget (of a run), others (with tpe
among them, leave values of constants to it), incumbent, kept and history (what was tried), lessons, hints, ideas,
repair (a crash to mend, if not null), objection (what was wrong with your last answer, if not null). Make ONE promising
change that was not tried, by editing only the files listed in editable, in this folder and in place. Do not train. End
with one line of JSON: {\"title\": \"…\", \"hypothesis\": \"…\"}" </dev/null
