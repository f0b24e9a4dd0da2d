import { Clock } from '../../src/runner/clock';

describe("the runner's clock", () => {
  it('runs with the monotonic clock, and does not count while the runner was stopped', () => {
    let time = 5_000;
    const clock = new Clock(() => time);
    for (let i = 0; i < 8; i++) {
      time += 250;
      clock.now();
    }
    expect(clock.now()).toBeCloseTo(2);
    time += 60_000;
    expect(clock.now()).toBeCloseTo(2.25);
    expect(clock.stopped).toBeCloseTo(59.75);
    time += 1_900;
    expect(clock.now()).toBeCloseTo(4.15);
  });
});
