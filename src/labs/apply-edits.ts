/**
 * Edits, checked against the lab's rules and put into a tree. Whatever is wrong with them is the candidate's
 * failure and said in one line; nothing here touches a working tree, so no link and no `..` can lead out of it.
 */
import { isUtf8 } from 'node:buffer';
import { type LabConfig } from './lab-yaml';
import { labPath } from '../domain/lab';
import type { Edit } from '../ledger/proposals';
import type { Git } from '../ledger/git';
import { editTree, listTree, readBlobs, writeBlob, type TreeChange, type TreeEntry } from '../ledger/objects';

/** The edits break a rule of the lab or do not apply; the message says which, in one line. */
export class EditRejected extends Error {
  override name = 'EditRejected';
}

type Rules = Pick<LabConfig, 'editable' | 'locked'> & { caps: Pick<LabConfig['caps'], 'edit_bytes'> };

/**
 * The tree that the edits make of a commit. Edits of one file apply in their order.
 * @throws EditRejected
 */
export async function applyEdits(
  git: Git,
  commit: string,
  edits: readonly Edit[],
  rules: Rules,
): Promise<string> {
  checkSize(edits, rules.caps.edit_bytes);
  for (const edit of edits) checkPath(edit.path, rules);
  const before = new Map((await listTree(git, commit)).map((entry) => [entry.path, entry]));
  const changes: TreeChange[] = [];
  for (const path of new Set(edits.map((edit) => edit.path))) {
    const own = edits.filter((edit) => edit.path === path);
    const entry = checkPlace(path, before);
    const content = own.reduce(applyEdit, entry === null ? null : await readEditable(git, entry, own));
    const id = content === null ? null : await writeBlob(git, content);
    if (id !== (entry?.id ?? null)) changes.push({ path, mode: entry?.mode ?? '100644', id });
  }
  if (changes.length === 0) throw new EditRejected('the edits change nothing');
  return editTree(git, commit, changes);
}

function checkSize(edits: readonly Edit[], limit: number): void {
  const texts = edits.flatMap((edit) => {
    if ('content' in edit) return [edit.content];
    return 'search' in edit ? [edit.search, edit.replace] : [];
  });
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > limit) throw new EditRejected(`the edits have ${bytes} bytes, caps.edit_bytes allows ${limit}`);
}

function checkPath(path: string, { editable, locked }: Rules): void {
  const shown = quote(path);
  if (editable.includes(path)) return;
  if (locked.includes(path)) throw new EditRejected(`${shown} is locked`);
  if (!labPath.safeParse(path).success || path.includes('\\')) {
    throw new EditRejected(`${shown} is not a path inside the lab`);
  }
  throw new EditRejected(`${shown} is not editable; editable: ${editable.join(', ')}`);
}

/** The file that is at the path now; null if the path is free. */
function checkPlace(path: string, tree: ReadonlyMap<string, TreeEntry>): TreeEntry | null {
  const parts = path.split('/');
  for (let depth = 1; depth < parts.length; depth++) {
    const above = tree.get(parts.slice(0, depth).join('/'));
    if (above !== undefined)
      throw new EditRejected(`${quote(path)} leads through ${quote(above.path)}, which is ${kind(above)}`);
  }
  const entry = tree.get(path) ?? null;
  if (entry !== null && !entry.mode.startsWith('100'))
    throw new EditRejected(`${quote(path)} is ${kind(entry)}`);
  if (entry === null && [...tree.keys()].some((other) => other.startsWith(`${path}/`))) {
    throw new EditRejected(`${quote(path)} is a folder`);
  }
  return entry;
}

function kind({ mode }: TreeEntry): string {
  if (mode === '120000') return 'a symbolic link';
  return mode === '160000' ? 'a submodule' : 'a file';
}

/** A file's text. What is replaced or deleted whole may be anything; what is searched must be text. */
async function readEditable(git: Git, entry: TreeEntry, edits: readonly Edit[]): Promise<string> {
  const [blob = Buffer.alloc(0)] = await readBlobs(git, [entry.id]);
  if (edits.some((edit) => 'search' in edit) && !isText(blob))
    throw new EditRejected(`${quote(entry.path)} is not UTF-8 text`);
  return blob.toString('utf8');
}

function applyEdit(content: string | null, edit: Edit): string | null {
  const shown = quote(edit.path);
  if ('content' in edit) return checkText(edit.path, edit.content);
  if (content === null) throw new EditRejected(`${shown} does not exist`);
  if ('delete' in edit) return null;
  const { search, replace } = withLineEndsOf(content, edit);
  const at = content.indexOf(search);
  if (at < 0) throw new EditRejected(`${shown}: the text to replace was not found: ${quote(edit.search)}`);
  const found = occurrences(content, search);
  if (found > 1)
    throw new EditRejected(
      `${shown}: the text to replace was found ${found} times, expected once: ${quote(edit.search)}`,
    );
  return content.slice(0, at) + checkText(edit.path, replace) + content.slice(at + search.length);
}

/** Models write `\n`, whatever ends the file's lines. A file whose lines end in both ways is searched as it is first. */
function withLineEndsOf(
  content: string,
  { search, replace }: { search: string; replace: string },
): { search: string; replace: string } {
  const crlf = content.split('\r\n').length - 1;
  const breaks = content.split('\n').length - 1;
  if (crlf === 0 || (crlf < breaks && content.includes(search))) return { search, replace };
  return { search: withCrlf(search), replace: withCrlf(replace) };
}

const withCrlf = (text: string): string => text.replaceAll(/\r?\n/g, '\r\n');

/** Overlapping ones count: in `aaa`, `aa` could mean two places. */
function occurrences(content: string, search: string): number {
  let count = 0;
  for (let at = content.indexOf(search); at >= 0; at = content.indexOf(search, at + 1)) count++;
  return count;
}

function checkText(path: string, text: string): string {
  if (text.includes('\0') || Buffer.from(text).toString() !== text)
    throw new EditRejected(`${quote(path)}: the new content is not text`);
  return text;
}

/** UTF-8 without NUL: what git, too, would call text. */
export function isText(content: Buffer): boolean {
  return isUtf8(content) && !content.includes(0);
}

function quote(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return JSON.stringify(short);
}
