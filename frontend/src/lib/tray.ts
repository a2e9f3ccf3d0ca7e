/** Features put aside for steering, per extraction: chosen in any list, used on the Steer page. */
const key = (extraction: string) => `saescope.tray.${extraction}`;

export function tray(extraction: string): number[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(key(extraction)) ?? "[]");
    return Array.isArray(kept) ? kept.filter((one): one is number => Number.isInteger(one)) : [];
  } catch {
    return [];
  }
}

export function setTray(extraction: string, features: readonly number[]): void {
  sessionStorage.setItem(key(extraction), JSON.stringify(features));
}

/** Put in, or take out where it was in; true when it is in now. */
export function toggleTray(extraction: string, feature: number): boolean {
  const kept = tray(extraction);
  const was = kept.includes(feature);
  setTray(extraction, was ? kept.filter((one) => one !== feature) : [...kept, feature]);
  return !was;
}
