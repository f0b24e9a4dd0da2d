#!/bin/sh
# Runs Claude Code in headless mode as a researcher:
#   npx autoresearch start --lab LAB --researcher command --command "$PWD/examples/claude-code.sh"
# It may read, and edit files in its worktree; autoresearch does the training. Its JSON output gives cost and last message.
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT && context=$folder/context.json && cat >"$context" || exit 1

claude -p "You improve a small training lab. $context is a JSON file with the context: program (what to do), metric,
budget (of a run), others (if tpe is one of them, leave the values of constants to it), incumbent, kept and history (what was tried), lessons, hints, ideas, repair (a crash to fix, if not null), objection
(what was wrong with your last answer, if not null). Make ONE promising new change, by editing only the
files listed in editable, in this folder and in place. Do not train. End with one line of JSON:
{\"title\": \"…\", \"hypothesis\": \"…\"}" \
  --output-format json --permission-mode acceptEdits --allowedTools "Read,Edit,Grep,Glob" --add-dir "$folder" \
  ${AUTORESEARCH_DOLLARS_LEFT:+--max-budget-usd "$AUTORESEARCH_DOLLARS_LEFT"} >"$folder/said" 2>"$folder/errors"
code=$?
cat "$folder/said"
cat "$folder/errors" >&2
[ $code -eq 0 ] && exit 0
# Exit code 75 asks autoresearch to call again later: the API is away, overloaded, or the quota is used up.
away=$(grep -hioE 'API Error: (Connection|Request timed out|(Repeated )?(429|5[0-9][0-9]))[^"{]*|usage limit reached|hit your [a-z]* ?limit[^"]*' \
  "$folder/said" "$folder/errors" | head -n 1)
[ -n "$away" ] && echo "$away" >&2 && exit 75
exit $code
