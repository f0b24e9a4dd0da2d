import { holdsKey, redact } from '../../src/researchers/redact';

const PUT = '[a key was here]';

test.each([
  'sk-ant-api03-abcdefghijklmnop',
  'ghp_abcdefghijklmnopqrst',
  'github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz',
  'glpat-abcdefghij0123456789',
  'hf_abcdefghijklmnopqrst',
  'npm_abcdefghijklmnopqrstuvwxyz0123456789',
  'AIzaSyA-abcdefghijklmnopqrstuvwxyz01234',
  'AKIAABCDEFGHIJKLMNOP',
  'xoxb-0123456789-abc',
])('%s looks like a key', (key) => {
  expect(redact(`it is "${key}".`)).toBe(`it is "${PUT}".`);
});

test.each(['npm_config_registry', 'hf_transfer', 'sk-learn', 'KEY_DIM = 64', 'a1'.repeat(20)])(
  '%s does not',
  (text) => expect(holdsKey(text)).toBe(false),
);

describe('secrets in the environment', () => {
  const before = { ...process.env };
  afterEach(() => (process.env = { ...before }));

  test.each([
    'SOME_API_KEY',
    'APIKEY',
    'GITHUB_TOKEN',
    'GH_TOKEN',
    'AWS_SESSION_TOKEN',
    'GITLAB_ACCESS_TOKEN_RO',
    'TOKEN',
    'GITLAB_PAT',
    'AUTORESEARCH_CODEC_KEY',
    'SSH_PASSPHRASE',
    'PGPASSWORD',
    'CLIENT_SECRET',
  ])('%s', (name) => {
    process.env[name] = 'of-nobody-1234';
    expect(redact('put of-nobody-1234 here')).toBe(`put ${PUT} here`);
  });

  test('each of several keys in one variable, and the lines of a private key', () => {
    process.env['AUTORESEARCH_CODEC_KEY'] = 'first-key-0123456789,second-key-0123456789';
    process.env['TEMPORAL_TLS_CLIENT_KEY_DATA'] =
      '-----BEGIN KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END KEY-----';
    expect(redact('second-key-0123456789 and MIGHAgEAMBMGByqGSM49')).toBe(`${PUT} and ${PUT}`);
  });

  test('but no file names, short values, or words of a passphrase', () => {
    process.env['AUTORESEARCH_CODEC_KEY_FILE'] = '/etc/autoresearch/codec.key';
    process.env['SHORT_TOKEN'] = 'width';
    process.env['SSH_PASSPHRASE'] = 'a learning rate for everybody';
    const text = 'width and learning, read from /etc/autoresearch/codec.key';
    expect(redact(text)).toBe(text);
  });
});
