import type { Box } from "./points";

/** Pixels of the plot inside the canvas: points are drawn in there, the dead in the strip at its left. */
export interface Frame {
  left: number;
  top: number;
  right: number;
  bottom: number;
  strip: [number, number];
}

/** Colours of the theme, each channel 0 to 1. */
export interface Colours {
  /** Five steps, fifteen numbers. */
  ramp: number[];
  plain: number[];
  grey: number[];
}

/** What is drawn, feature by feature. */
export interface Cast {
  /** log10 density and log10 max, two numbers a feature; -99 for the dead. */
  places: Float32Array;
  /** 0 to 1 along the score colours, below 0 for "has none". */
  tints: Float32Array;
  /** 1 where it matches everything but the brush. */
  held: Uint8Array;
  /** 0 to 1, the same each time: where in their strip the dead stand. */
  noise: Float32Array;
}

export interface Scene {
  view: Box;
  box: Box | null;
  frame: Frame;
  colours: Colours;
  /** Diameter of a selected point, CSS pixels. */
  size: number;
}

/** One way to put the points on a canvas. */
export interface Painter {
  /** Some of the features' numbers changed. */
  take(cast: Cast, changed: keyof Cast): void;
  paint(scene: Scene): void;
  /** Paint, and come back when it is on the canvas: for measuring. */
  finish(scene: Scene): void;
  dispose(): void;
}
