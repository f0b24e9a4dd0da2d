/** Removes keys and passwords from prompts, proposals, logs and transcripts. */

/** The key formats of Anthropic and OpenAI, GitHub, GitLab, Hugging Face, npm, Google, AWS and Slack. */
const KEY_LIKE = new RegExp(
  `\\b(?:${[
    'sk-[A-Za-z0-9_-]{16,}',
    'gh[pousr]_[A-Za-z0-9]{20,}',
    'github_pat_[A-Za-z0-9_]{22,}',
    'glpat-[A-Za-z0-9_-]{20,}',
    'hf_[A-Za-z0-9]{20,}',
    'npm_[A-Za-z0-9]{36,}',
    'AIza[A-Za-z0-9_-]{35}',
    'AKIA[0-9A-Z]{16}',
    'xox[abpr]-[A-Za-z0-9-]{10,}',
  ].join('|')})`,
  'g',
);
const SECRET_NAME =
  /API_?KEY|AUTH_TOKEN|ACCESS_TOKEN|SECRET|PASSWORD|(^|_)(TOKEN|KEY|KEY_DATA|PAT|CREDENTIALS?|PASSPHRASE)$/i;
/** Characters; shorter values also occur in ordinary words. */
const SHORTEST = 8;
/** Characters of a part of a value (one of several keys, a line of a private key); ordinary words are shorter. */
const SHORTEST_PART = 16;
const PUT = '[a key was here]';

/** The text without anything that looks like a key, and without the secrets of this process's environment. */
export function redact(text: string): string {
  return secrets().reduce((safe, secret) => safe.replaceAll(secret, PUT), text.replace(KEY_LIKE, PUT));
}

/** True if `redact` would change the text. */
export const holdsKey = (text: string): boolean => redact(text) !== text;

const secrets = (): string[] =>
  Object.entries(process.env)
    .filter(([name]) => SECRET_NAME.test(name))
    .flatMap(([, value = '']) => [
      ...[value].filter(({ length }) => length >= SHORTEST),
      ...value.split(/[\s,]+/u).filter(({ length }) => length >= SHORTEST_PART),
    ]);
