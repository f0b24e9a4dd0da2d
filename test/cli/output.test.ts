import { clean, cleanLine } from '../../src/cli/output';

describe('text that is not ours', () => {
  it.each([
    ['colours', '\u001B[31mred\u001B[0m', 'red'],
    ['a title that renames the terminal', '\u001B]0;owned\u0007lower lr', 'lower lr'],
    ['an endless title', '\u001B]0;owned', ''],
    ['a link', '\u001B]8;;http://x\u001B\\text\u001B]8;;\u001B\\', 'text'],
    ['cursor movement over what was printed', 'bad\u001B[1A\u001B[2Kgood', 'badgood'],
    ['8-bit sequences', '\u009B31mred', 'red'],
    ['device control', '\u001BPq#0\u001B\\after', 'after'],
    ['carriage returns and backspaces', 'keep\rdrop\b\b', 'keepdrop'],
    ['text shown backwards', 'abc\u202Edef', 'abcdef'],
    ['an Arabic letter mark and isolates', 'a\u061Cb\u2066c\u2069', 'abc'],
    ['zero-width characters', 'l\u200Bo\u200Dss\u2060\u00AD\uFEFF\u3164', 'loss'],
    ['hidden tags and variation selectors', 'ok\u{E0041}\u{E0100}\uFE0F', 'ok'],
    ['a lone escape at the end', 'x\u001B', 'x'],
  ])('loses %s', (_, hostile, shown) => {
    expect(clean(hostile)).toBe(shown);
  });

  it('keeps lines, tabs and letters of any script', () => {
    expect(clean('über\t−2.7 %\r\n日本 🎉\n')).toBe('über\t−2.7 %\n日本 🎉\n');
  });

  it('makes one line of a bounded length, without cutting a character in half', () => {
    expect(cleanLine('a\n\t b\u001B[2J  c ')).toBe('a b c');
    expect(cleanLine('🎉🎉🎉🎉', 3)).toBe('🎉🎉…');
    expect(cleanLine('x'.repeat(500))).toHaveLength(200);
  });
});
