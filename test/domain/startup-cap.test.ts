import { startupCap } from '../../src/domain/startup-cap';

const baseline = { trainSeconds: 60 };

test("the baseline, or a study whose baseline never started, has lab.yaml's cap", () => {
  expect(startupCap(null, 300)).toEqual({ seconds: 300, gpuSeconds: null });
});

test("a candidate has twice the baseline's time and some seconds", () => {
  expect(startupCap({ ...baseline, startupSeconds: 8, startupGpuSeconds: null }, 300)).toEqual({
    seconds: 36,
    gpuSeconds: null,
  });
  expect(startupCap({ ...baseline, startupSeconds: 70, startupGpuSeconds: 3 }, 300)).toEqual({
    seconds: 160,
    gpuSeconds: 16,
  });
});

test('and never more than lab.yaml allows', () => {
  expect(startupCap({ ...baseline, startupSeconds: 250, startupGpuSeconds: 200 }, 300)).toEqual({
    seconds: 300,
    gpuSeconds: 300,
  });
});
