/** Asks the `command` researcher for one proposal, as whichever user runs this, and prints the answer as JSON. */
const { mkdirSync } = require('node:fs');
const path = require('node:path');
const { loadTypeScript } = require('../typescript-hook');

loadTypeScript();
const { UNLIMITED } = require('../../src/domain/limits');
const { Git } = require('../../src/ledger/git');
const { readLabConfigAt } = require('../../src/labs/lab');
const { createCommand } = require('../../src/researchers/command');
const { SpendGuard } = require('../../src/researchers/spend-guard');
const { openWorkspace } = require('../../src/researchers/workspace');

async function main({ lab, base, folder, command }) {
  mkdirSync(folder, { recursive: true });
  const researcher = createCommand({
    command,
    timeoutMs: 120_000,
    openWorkspace: (context) => openWorkspace({ lab, base }, context),
  });
  const context = {
    tag: 'mine',
    number: 1,
    lab: await readLabConfigAt(new Git(lab), base),
    budget: { steps: 1 },
    others: [],
    program: '',
    incumbent: { commit: base, files: {} },
    history: [],
    hints: [],
    ideas: [],
    lessons: [],
    plateau: { since: 0, approach: null },
    left: UNLIMITED,
    repair: null,
    model: null,
    spendGuard: await SpendGuard.open(path.join(folder, 'spent.jsonl'), null),
    refused: [],
    python: 'python3',
    since: Date.now(),
    folder,
  };
  return researcher.propose(context, new AbortController().signal);
}

main(JSON.parse(process.argv[2])).then(
  (proposal) => console.log(JSON.stringify({ proposal })),
  (error) => console.log(JSON.stringify({ error: String(error), objection: error.objection ?? null })),
);
