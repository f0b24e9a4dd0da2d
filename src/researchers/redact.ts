/** Keys have no business in prompts, proposals, logs and transcripts, however they came there. */

const KEY_LIKE =
  /\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|xox[abpr]-[A-Za-z0-9-]{10,})/g;
const SECRET_NAME = /API_?KEY|AUTH_TOKEN|ACCESS_TOKEN|SECRET|PASSWORD/i;
const PUT = '[a key was here]';

/** The text without what looks like a key, or is one in this process's environment. */
export function redact(text: string): string {
  return secrets().reduce((safe, secret) => safe.replaceAll(secret, PUT), text.replace(KEY_LIKE, PUT));
}

/** Whether something in it looks like a key. */
export const holdsKey = (text: string): boolean => redact(text) !== text;

/** Short values would make holes in ordinary words. */
const secrets = (): string[] =>
  Object.entries(process.env)
    .filter(([name, value = '']) => SECRET_NAME.test(name) && value.length >= 8)
    .map(([, value = '']) => value);
