const PATHS = {
  home: "M2.5 7.5 8 3l5.500 4.500V13h-4V9.500h-3V13h-4z",
  grid: "M2.500 4h11M2.500 8h11M2.500 12h11",
  fire: "M3 12.500V9M6.300 12.500V3.500M9.700 12.500V7M13 12.500v-2",
  steer: "M3 4.500h10M3 11.500h10M6 2.500v4M10.500 9.500v4",
  data: "M3 4c0-2 10-2 10 0v8c0 2-10 2-10 0zM3 4c0 2 10 2 10 0M3 8c0 2 10 2 10 0",
  model: "M8 2.500 13.500 5.500 8 8.500 2.500 5.500zM2.500 8.200 8 11.200l5.500-3M2.500 10.800 8 13.800l5.500-3",
  sae: "M2.500 3v10L7 9.500v-3zM13.500 3v10L9 9.500v-3z",
  train: "M2.500 3v10.500h11M4.500 5c1.500 5 4 6 8.500 6.300",
  extract: "M8 2.500v7M5 7l3 3 3-3M2.500 12.500h11",
  jobs: "M8 2.500a5.500 5.500 0 1 0 0 11 5.500 5.500 0 1 0 0-11M8 5v3.200l2.200 1.300",
  cog: "M8 6a2 2 0 1 0 0 4 2 2 0 1 0 0-4M8 2v2M8 12v2M2 8h2M12 8h2M3.800 3.800l1.400 1.400M10.800 10.800l1.400 1.400M3.800 12.200l1.400-1.400M10.800 5.200l1.400-1.400",
  find: "M7 2.800a4.200 4.200 0 1 0 0 8.400 4.200 4.200 0 1 0 0-8.400M10.200 10.200l3.300 3.300",
  x: "M4.500 4.500l7 7M11.500 4.500l-7 7",
  down: "M4.500 6.500 8 10l3.500-3.500",
  up: "M4.500 9.500 8 6l3.500 3.500",
  right: "M6.500 4.500 10 8l-3.500 3.500",
  left: "M9.500 4.500 6 8l3.500 3.500",
  plus: "M8 3.500v9M3.500 8h9",
  link: "M6.500 9.500l3-3M7 5l1.500-1.500a2.500 2.500 0 0 1 3.500 3.500L10.500 8.500M9 11l-1.500 1.500A2.500 2.500 0 0 1 4 9L5.500 7.500",
  star: "M8 2.300l1.700 3.600 4 .5-2.900 2.700.7 3.900L8 11.100 4.500 13l.7-3.900L2.300 6.400l4-.5z",
  check: "M3.500 8.500 6.500 11.500 12.500 4.800",
  stop: "M4.500 4.500h7v7h-7z",
  pause: "M5.500 4v8M10.500 4v8",
  play: "M5 3.500v9l7.500-4.500z",
  warn: "M8 2.800 14 13H2zM8 6.500v3M8 11.200v.2",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  sun: "M8 5.200a2.800 2.800 0 1 0 0 5.600 2.800 2.800 0 1 0 0-5.600M8 1.800v1.400M8 12.800v1.400M1.800 8h1.400M12.800 8h1.400",
  moon: "M12.800 9.800A5.300 5.300 0 0 1 6.200 3.200a5.300 5.300 0 1 0 6.600 6.600z",
  label: "M2.500 3h6l5 5-5.500 5.500-5.500-5.500zM5.400 5.800v.2",
  note: "M3.500 2.500h9v8l-3 3h-6zM9.500 13.500v-3h3",
  copy: "M5.500 5.500h7v8h-7zM3.500 10.500v-8h7",
  wrap: "M2.500 4h11M2.500 8h8.500a2 2 0 0 1 0 4H8M9.500 10.500 8 12l1.500 1.500M2.500 12h2.500",
  more: "M3.500 7.600v.8M8 7.600v.8M12.500 7.600v.8",
  export: "M8 10V3M5 5.500 8 2.500l3 3M3 9.500v3.500h10V9.500",
  columns: "M2.500 3.500h11v9h-11zM6.200 3.500v9M9.800 3.500v9",
  pin: "M6 2.500h4l-.5 4 2 2.500h-7l2-2.500zM8 9v4.500",
  trash: "M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.6 9h5.800l.6-9",
  pencil: "M3 13l.6-2.800 7.200-7.200 2.200 2.200-7.200 7.200zM9.500 4.300l2.200 2.200",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16, filled = false }: { name: IconName; size?: number; filled?: boolean }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill={filled ? "currentColor" : "none"}
      stroke="currentColor"
      strokeWidth={1.3}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}

export function Logo() {
  return (
    <svg width={18} height={18} viewBox="0 0 18 18" aria-hidden="true">
      <circle cx={9} cy={9} r={7.3} fill="none" stroke="currentColor" strokeWidth={1.4} />
      <circle cx={6.2} cy={10.6} r={1} fill="currentColor" opacity={0.45} />
      <circle cx={9.6} cy={6.4} r={2} fill="currentColor" />
      <circle cx={12.2} cy={11.4} r={1.2} fill="currentColor" opacity={0.7} />
    </svg>
  );
}
