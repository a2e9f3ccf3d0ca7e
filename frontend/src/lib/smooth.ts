/** An exponential mean over about a twentieth of the run. */
export function smooth(values: readonly (number | null)[]): (number | null)[] {
  const keep = 1 - 1 / Math.max(1, values.length / 20);
  let mean: number | null = null;
  return values.map((value) => {
    if (value === null) return mean;
    mean = mean === null ? value : keep * mean + (1 - keep) * value;
    return mean;
  });
}
