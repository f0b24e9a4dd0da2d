/** Finds JSON values anywhere in a text. */

/** No report nests deeper. The limit bounds the cost of an unclosed bracket. */
const MAX_DEPTH = 100;
/** How often each character may be read on average; after that only the last lines are searched. */
const READINGS = 20;
const LAST_LINES = 200;

/** What may follow a bracket in JSON; prose rarely matches. */
const AFTER_BRACE = /\{\s*["}]/y;
const AFTER_BRACKET = /\[\s*[{["\-0-9tfn\]]/y;

/** All outermost objects in `text`, in order; the objects of an array are returned one by one. */
export function jsonValuesIn(text: string): object[] {
  const found: object[] = [];
  let readings = READINGS * text.length;
  let at = 0;
  for (;;) {
    at = nextBracket(text, at);
    if (at === -1) return found;
    const end = endOf(text, at);
    readings -= Math.abs(end) - at;
    const value = end > 0 ? parse(text.slice(at, end)) : null;
    if (value !== null) found.push(...objectsOf(value));
    at = value === null ? at + 1 : end;
    if (readings < 0) return [...found, ...lastLines(text, at)];
  }
}

/** A text full of brackets would take quadratic time. A report stands at the end, usually one value a line. */
function lastLines(text: string, from: number): object[] {
  const lines = text.slice(from).split('\n').slice(-LAST_LINES);
  return lines.flatMap((line) => objectsOf(parse(line.slice(Math.max(0, line.search(/[[{]/))))));
}

function objectsOf(value: unknown): object[] {
  if (Array.isArray(value)) return value.flatMap(objectsOf);
  return typeof value === 'object' && value !== null ? [value] : [];
}

function nextBracket(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const plausible = text[at] === '{' ? AFTER_BRACE : text[at] === '[' ? AFTER_BRACKET : null;
    if (plausible === null) continue;
    plausible.lastIndex = at;
    if (plausible.test(text)) return at;
  }
  return -1;
}

/** The index after the value that begins at `start`; when it does not end, minus the index where reading stopped. */
function endOf(text: string, start: number): number {
  const open: string[] = [];
  let inString = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at++;
      else if (character === '"') inString = false;
      // JSON strings hold no line breaks: this quote belongs to prose.
      else if (character === '\n') return -at;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      if (open.push(character === '{' ? '}' : ']') > MAX_DEPTH) return -at;
    } else if (character === '}' || character === ']') {
      if (open.pop() !== character) return -at;
      if (open.length === 0) return at + 1;
    }
  }
  return -text.length;
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
