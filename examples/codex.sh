#!/bin/sh
# Runs Codex CLI in headless mode as a researcher:
#   npx autoresearch start --lab LAB --researcher command --command "$PWD/examples/codex.sh"
# Its events give the tokens of each turn and the last message, but no price.
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT && context=$folder/context.json && cat >"$context" || exit 1

# Inside bubblewrap it runs behind walls already, and could build none of its own.
walls=workspace-write && [ "$AUTORESEARCH_SANDBOX" = bubblewrap ] && walls=danger-full-access

codex exec --json --sandbox $walls --skip-git-repo-check "You improve a small training lab. $context is a JSON
file with the context: program (what to do), metric, budget (of a run), others (if tpe
is one of them, leave the values of constants to it), incumbent, kept and history (what was tried), lessons, hints, ideas,
repair (a crash to fix, if not null), objection (what was wrong with your last answer, if not null). Make ONE promising
new change, by editing only the files listed in editable, in this folder and in place. Do not train. End
with one line of JSON: {\"title\": \"…\", \"hypothesis\": \"…\"}" </dev/null >"$folder/said" 2>"$folder/errors"
code=$?
cat "$folder/said"
cat "$folder/errors" >&2
[ $code -eq 0 ] && exit 0
# Exit code 75 asks autoresearch to call again later: the API is away, overloaded, or the quota is used up.
away=$(grep -hE '"type": ?"(error|turn\.failed)"' "$folder/said" |
  grep -ioE 'stream disconnected[^"]*|hit your usage limit[^"]*|rate limit[^"]*|status (429|5[0-9][0-9])[^"]*' | head -n 1)
[ -n "$away" ] && echo "$away" >&2 && exit 75
exit $code
