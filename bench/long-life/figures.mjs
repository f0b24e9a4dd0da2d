/** Statistics of the long-life bench: slopes with confidence intervals, and the means of the first and last thousand. */
import { readFileSync } from 'node:fs';

const CLOCK_TICKS = 100; // USER_HZ: what /proc counts in, on every Linux

/** Resident memory (MB) and CPU seconds of a process. */
export function processFigures(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    rssMb: Number(/^VmRSS:\s+(\d+)/m.exec(status)[1]) / 1024,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS,
  };
}

/**
 * Least squares of `y` over `x`, per 1,000 of `x`. The 95 % interval takes neighbours for independent, which samples of
 * memory are not: it is narrower than it should be, and what it excludes may still be nothing.
 */
export function slope(xs, ys) {
  const n = xs.length;
  const meanX = mean(xs);
  const meanY = mean(ys);
  const sxx = xs.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  const b = xs.reduce((sum, x, i) => sum + (x - meanX) * (ys[i] - meanY), 0) / sxx;
  const residuals = ys.map((y, i) => y - meanY - b * (xs[i] - meanX));
  const error = Math.sqrt(residuals.reduce((sum, r) => sum + r * r, 0) / (n - 2) / sxx);
  return { perThousand: 1000 * b, plusMinus: 1000 * 1.96 * error };
}

/** One figure over the study's life. `samples` have `number` and the figure under `key`; `from` leaves out the warming up. */
export function trend(samples, key, from) {
  const known = samples.filter((sample) => sample[key] !== null && sample.number > from);
  if (known.length < 3) return null;
  const numbers = known.map(({ number }) => number);
  const last = numbers.at(-1);
  const { perThousand, plusMinus } = slope(
    numbers,
    known.map((sample) => sample[key]),
  );
  const of = (part) => round(mean(part.map((sample) => sample[key])));
  return {
    from: numbers[0],
    to: last,
    perThousand: round(perThousand),
    plusMinus: round(plusMinus),
    firstThousand: of(known.filter(({ number }) => number <= from + 1000)),
    lastThousand: of(known.filter(({ number }) => number > last - 1000)),
  };
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
export const round = (value) => Number(value.toPrecision(4));
