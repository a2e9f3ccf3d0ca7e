/** An exponential mean: each value takes 1 - keep of the new one. keep: 0 leaves the curve as it is, 0.95 is very smooth. */
export function smooth(values: readonly (number | null)[], keep: number): (number | null)[] {
  let mean: number | null = null;
  return values.map((value) => {
    if (value === null) return mean;
    mean = mean === null ? value : keep * mean + (1 - keep) * value;
    return mean;
  });
}
