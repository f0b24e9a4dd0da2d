import { CliError } from '../../src/studies/errors';
import { printError } from '../../src/cli/print-error';
import { LabConfigError } from '../../src/labs/lab-yaml';
import { LabError } from '../../src/ledger/git';
import { MissingPrerequisite } from '../../src/process/missing-prerequisite';
import { ServerUnavailable } from '../../src/temporal/connection';

/** What it says, as JSON and as text, and the exit code. */
function printed(error: unknown): {
  code: number;
  json: { code: string; message: string; todo: string };
  text: string;
} {
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    jest.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += String(text);
      return true;
    }),
  );
  try {
    printError(error, true);
    const code = printError(error, false);
    return { code, json: JSON.parse(said.stdout).error, text: said.stderr };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

const grpc = (code: number, details: string) =>
  Object.assign(new Error(`${code} ${details}`), { code, details, metadata: {} });

describe('how a command fails', () => {
  it.each([
    ['our own', new CliError('conflict', 'taken', 'name another'), 6, 'conflict', 'name another'],
    ['a lab that is not valid', new LabConfigError('lab.yaml: bad'), 3, 'lab', ''],
    ['a lab that cannot be used', new LabError('dirty: commit'), 3, 'lab', ''],
    ['no server', new ServerUnavailable('none', 'run up'), 4, 'server', 'run up'],
    [
      'something not installed',
      new MissingPrerequisite('no git', 'install git'),
      7,
      'prerequisite',
      'install git',
    ],
    [
      'a fault of this program',
      new TypeError('x is undefined'),
      1,
      'unexpected',
      expect.stringContaining('AUTORESEARCH_DEBUG'),
    ],
    ['a thing that is no error', 'boom', 1, 'unexpected', expect.anything()],
  ])('%s', (_, error, exitCode, code, todo) => {
    expect(printed(error)).toMatchObject({ code: exitCode, json: { code, todo } });
  });

  it('knows a server that went away behind the errors of its client', () => {
    const error = new Error('Failed to query', { cause: grpc(14, 'connection refused') });
    expect(printed(error)).toMatchObject({ code: 4, json: { code: 'server' } });
  });

  it('shows no stack and no escapes', () => {
    const { text } = printed(new CliError('lab', 'bad \u001B]0;owned\u0007file', 'fix it'));
    expect(text).toBe('error: bad file\n  → fix it\n');
  });
});
