#!/bin/sh
# A researcher out of Claude Code in headless mode:
#   npx autoresearch start --lab LAB --researcher command --command "$PWD/examples/claude-code.sh"
# It may edit files in its worktree and read; the runs are autoresearch's. Cost and last message are read from its JSON.
context=$(mktemp) && trap 'rm -f "$context"' EXIT && cat >"$context" || exit 1

claude -p "You improve a small training lab. $context is a JSON file with the context: program (what to do), metric,
budget (of a run), others (with tpe among them, leave values of constants to it), incumbent, kept and history (what was tried), lessons, hints, ideas, repair (a crash to mend, if not null), objection
(what was wrong with your last answer, if not null). Make ONE promising change that was not tried, by editing only the
files listed in editable, in this folder and in place. Do not train. End with one line of JSON:
{\"title\": \"…\", \"hypothesis\": \"…\"}" \
  --output-format json --permission-mode acceptEdits --allowedTools "Read,Edit,Grep,Glob" --add-dir "$(dirname "$context")" \
  ${AUTORESEARCH_DOLLARS_LEFT:+--max-budget-usd "$AUTORESEARCH_DOLLARS_LEFT"}
