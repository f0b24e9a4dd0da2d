import { SUMMARIES } from '../../src/cli/summaries';
import { autoresearch, asJson } from './invoke';

const COMMANDS = Object.keys(SUMMARIES);

describe('help', () => {
  it.each(COMMANDS)('%s has an example that calls it, and the exit codes', async (name) => {
    const { exitCode, stdout } = await autoresearch(name, '--help');
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`$ npx autoresearch ${name}`);
    expect(stdout).toContain('--json');
    expect(stdout).toMatch(/Exit codes:\n {2}0 {2}success/);
  });

  it.each([[[]], [['--help']]])('%j lists every command', async (argv) => {
    const { exitCode, stdout } = await autoresearch(...argv);
    expect(exitCode).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
  });
});

it.each([
  [['--version'], /^\d+\.\d+\.\d+\n$/],
  [['help'], /^  status\b/m],
  [['help', 'stop'], /autoresearch stop/],
])('%j answers', async (argv, expected) => {
  const { exitCode, stdout } = await autoresearch(...argv);
  expect([exitCode, stdout]).toEqual([0, expect.stringMatching(expected)]);
});

it('says nothing of switches that are off by default', async () => {
  for (const name of COMMANDS)
    expect((await autoresearch(name, '--help')).stdout).not.toContain('default: false');
});

it('suggests the command that was meant', async () => {
  const { exitCode, stderr } = await autoresearch('statsu');
  expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/unknown command 'statsu'[^]*status/)]);
});

describe('a command line that is wrong', () => {
  it.each([
    ['no such command', ['frobnicate'], /frobnicate/],
    ['no such option', ['status', '--frobnicate'], /--frobnicate/],
    ['a missing argument', ['show'], /'N'/],
    ['too many arguments', ['history', 'a', 'b'], /too many/],
    ['an experiment that is no number', ['show', 'seven'], /N: expected an experiment's number/],
    ['an experiment before the baseline', ['show', '--', '-1'], /N: expected an experiment's number/],
    ['start without a lab', ['start'], /--lab/],
    ['a negative budget', ['budget', '--hours', '-3'], /--hours: expected more than 0/],
    ['a budget in words', ['budget', '--gpu-hours', 'many'], /--gpu-hours/],
    ['half an experiment', ['budget', '--experiments', '1.5'], /--experiments: expected a whole number/],
    ['an endless training', ['start', '--lab', 'x', '--train-seconds', 'Infinity'], /--train-seconds/],
    [
      'an unknown researcher',
      ['start', '--lab', 'x', '--researcher', 'oracle'],
      /--researcher: expected claude, claude\+tpe, command, command\+tpe or tpe/,
    ],
    ['a tag that git refuses', ['status', 'a..b'], /TAG: expected a tag that git accepts/],
    ['an empty hint', ['hint', ' '], /TEXT: expected a text/],
    ['two formats at once', ['history', '--tsv', '--json'], /--tsv and --json/],
  ])('%s: exit code 2, and what to do', async (_, argv, message) => {
    const { exitCode, stdout, stderr } = await autoresearch(...argv);
    const said = argv.includes('--json') ? JSON.parse(stdout).error.message : stderr;
    expect(said).toMatch(message);
    expect(exitCode).toBe(2);
    expect(argv.includes('--json') ? JSON.parse(stdout).error.todo : stderr).toMatch(/(^|→ ).+\n?$/);
  });

  it('is printed as JSON with --json', async () => {
    const { exitCode, document } = await asJson('show', 'seven');
    expect(exitCode).toBe(2);
    expect(document).toEqual({
      error: {
        code: 'usage',
        message: "N: expected an experiment's number, such as 7",
        todo: 'see `npx autoresearch show --help`',
      },
    });
  });

  it('takes --json after `--` for a word, not for an option', async () => {
    const { stdout, stderr } = await autoresearch('show', '--', '--json');
    expect(stdout).toBe('');
    expect(stderr).toContain('N: expected');
  });
});
