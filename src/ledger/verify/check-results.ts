/** results.tsv against the records that it is made from, row by row. */
import { resultsTable } from '../results-tsv';
import type { Difference } from './difference';
import type { StudyInGit } from './read';

/** The column that holds an experiment's number. */
const KEY = 'experiment';

export function checkResults({ tag, study, ledger, records, results }: StudyInGit): Difference[] {
  if (study === null || ledger === null) return [];
  const text = resultsTable(study.metric, records);
  if (results === text) return [];
  const whats =
    results === null ? [{ experiment: null, what: 'results.tsv is missing' }] : compare(results, text);
  const todo = `\`autoresearch verify ${tag} --repair\` makes it anew from the records`;
  const repair = { kind: 'results', head: ledger, text } as const;
  return whats.map(({ experiment, what }) => ({ about: 'results.tsv', experiment, what, todo, repair }));
}

interface Seen {
  experiment: number | null;
  what: string;
}

function compare(actual: string, expected: string): Seen[] {
  const [head = '', ...rows] = linesOf(expected);
  const [ownHead = '', ...ownRows] = linesOf(actual);
  const columns = head.split('\t');
  const key = columns.indexOf(KEY);
  const own = new Map<string, string[]>();
  for (const row of ownRows) {
    const name = row.split('\t')[key] ?? '';
    own.set(name, [...(own.get(name) ?? []), row]);
  }
  const seen = rows.flatMap((row): Seen[] => {
    const name = row.split('\t')[key] ?? '';
    const found = own.get(name) ?? [];
    own.delete(name);
    const experiment = Number(name);
    if (found.length === 0) return [{ experiment, what: `results.tsv has no row of experiment ${name}` }];
    if (found.length > 1)
      return [{ experiment, what: `results.tsv has ${found.length} rows of experiment ${name}` }];
    if (found[0] === row) return [];
    return [
      {
        experiment,
        what: `results.tsv, experiment ${name}: ${cellsThatDiffer(columns, found[0] ?? '', row)}`,
      },
    ];
  });
  for (const row of [...own.values()].flat())
    seen.push({
      experiment: null,
      what: `results.tsv has a row of no record: "${row.slice(0, 80).replaceAll('\t', ' ')}"`,
    });
  if (ownHead !== head)
    seen.push({ experiment: null, what: `results.tsv has another header: "${ownHead.slice(0, 80)}"` });
  if (seen.length === 0)
    seen.push({ experiment: null, what: "results.tsv is not in the records' order, or has other line ends" });
  return seen;
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

function cellsThatDiffer(columns: readonly string[], actual: string, expected: string): string {
  const [is, be] = [actual.split('\t'), expected.split('\t')];
  return columns
    .flatMap((column, index) => {
      const [a = '', b = ''] = [is[index], be[index]];
      return a === b ? [] : `${column} is "${a.slice(0, 40)}", its record says "${b.slice(0, 40)}"`;
    })
    .join('; ');
}
