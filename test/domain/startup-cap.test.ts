import { startupCap } from '../../src/domain/startup-cap';

const baseline = { trainSeconds: 60 };
const CAPS = { startup_seconds: 300, startup_spare_seconds: 20 };

test("the baseline, or a study whose baseline never started, has lab.yaml's cap", () => {
  expect(startupCap(null, CAPS)).toEqual({ seconds: 300, gpuSeconds: null });
});

test("a candidate has twice the baseline's time and some seconds", () => {
  expect(startupCap({ ...baseline, startupSeconds: 8, startupGpuSeconds: null }, CAPS)).toEqual({
    seconds: 36,
    gpuSeconds: null,
  });
  expect(startupCap({ ...baseline, startupSeconds: 70, startupGpuSeconds: 3 }, CAPS)).toEqual({
    seconds: 160,
    gpuSeconds: 16,
  });
});

test('and never more than lab.yaml allows', () => {
  expect(startupCap({ ...baseline, startupSeconds: 250, startupGpuSeconds: 200 }, CAPS)).toEqual({
    seconds: 300,
    gpuSeconds: 300,
  });
});

test('a lab may grant more beyond the baseline', () => {
  const caps = { startup_seconds: 300, startup_spare_seconds: 60 };
  expect(startupCap({ ...baseline, startupSeconds: 8, startupGpuSeconds: null }, caps).seconds).toBe(76);
});
