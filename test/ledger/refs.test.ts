import { execFileSync } from 'node:child_process';
import { sample, stringMatching } from 'fast-check';
import { branchRef, freeTag, isTagKnown, studyTags, tagOfDay, tagSchema } from '../../src/ledger/refs';
import { git, makeLab } from '../labs/make-lab';

const DAY = new Date(2026, 10, 21);

test('the default tag is the day', () => {
  expect(tagOfDay(DAY)).toBe('nov21');
  expect(tagOfDay(new Date(2026, 2, 5))).toBe('mar5');
});

test.each(['nov21', 'a', '0', 'deep-net_2.1'])('%s is a tag', (tag) => {
  expect(tagSchema.safeParse(tag).success).toBe(true);
});

test.each([
  '',
  'Nov21',
  'a b',
  'a/b',
  '../x',
  '.a',
  '-a',
  'a..b',
  'a.',
  'a.lock',
  'a~1',
  'ä',
  'a\n',
  'x'.repeat(41),
])('%j is not a tag', (tag) => {
  expect(tagSchema.safeParse(tag).success).toBe(false);
});

test('git accepts the branch of every tag', () => {
  const tag = stringMatching(/^[a-z0-9._-]{1,12}$/).filter((text) => tagSchema.safeParse(text).success);
  for (const text of sample(tag, 60)) {
    expect(() => execFileSync('git', ['check-ref-format', branchRef(text)])).not.toThrow();
  }
});

test.each([
  'refs/heads/autoresearch/nov21',
  'refs/heads/autoresearch-ledger/nov21',
  'refs/autoresearch/nov21/base',
  'refs/remotes/origin/autoresearch/nov21',
])('a tag is taken by %s', async (ref) => {
  const { root, git: repository } = makeLab();
  expect(await isTagKnown(repository, 'nov21')).toBe(false);
  git(root, 'update-ref', ref, 'HEAD');
  expect(await isTagKnown(repository, 'nov21')).toBe(true);
  expect(await isTagKnown(repository, 'nov2')).toBe(false);
  expect(await isTagKnown(repository, 'nov21b')).toBe(false);
});

test('the next free variant of the day', async () => {
  const { root, git: repository } = makeLab();
  const tags = [];
  for (let count = 0; count < 4; count++) {
    const tag = await freeTag(repository, DAY);
    git(root, 'update-ref', `refs/heads/autoresearch-ledger/${tag}`, 'HEAD');
    tags.push(tag);
  }
  expect(tags).toEqual(['nov21', 'nov21b', 'nov21c', 'nov21d']);
  expect(await studyTags(repository)).toEqual(tags);
});
