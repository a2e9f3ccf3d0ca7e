import type { ButtonHTMLAttributes, InputHTMLAttributes, ReactNode } from "react";
import { Tooltip } from "@base-ui/react/tooltip";
import { Icon, type IconName } from "./icons";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon?: IconName;
  /** The key that does the same. */
  keys?: string;
  look?: "primary" | "plain" | "ghost";
  on?: boolean;
}

/** One filled button per view; the others bordered ("plain"), or bare ("ghost"). */
export function Button({ icon, keys, look = "plain", on, className = "", children, ...rest }: ButtonProps) {
  return (
    <button type="button" {...rest} className={`btn ${look === "plain" ? "" : look} ${on ? "on" : ""} ${className}`}>
      {icon && <Icon name={icon} size={14} />}
      {children}
      {keys && <kbd aria-hidden="true">{keys}</kbd>}
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  icon: IconName;
  label: string;
  keys?: string;
  on?: boolean;
  filled?: boolean;
  small?: boolean;
}

/** A button of one glyph; its name and key stand in a tooltip. */
export function IconButton({ icon, label, keys, on, filled, small, className = "", ...rest }: IconButtonProps) {
  return (
    <Tip content={keys ? <>{label} <kbd>{keys}</kbd></> : label}>
      <button
        type="button"
        aria-label={label}
        {...rest}
        className={`btn ghost icon ${small ? "small" : ""} ${on ? "on" : ""} ${className}`}
      >
        <Icon name={icon} size={14} filled={filled ?? false} />
      </button>
    </Tip>
  );
}

/** A short explanation beside what it wraps: one element that can take a ref. */
export function Tip({ content, children }: { content: ReactNode; children: React.ReactElement<Record<string, unknown>> }) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger render={children} />
      <Tooltip.Portal>
        <Tooltip.Positioner sideOffset={6} className="above">
          <Tooltip.Popup className="hint">{content}</Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}

interface SegmentProps<V extends string> {
  label: string;
  options: readonly { value: V; text: ReactNode; disabled?: boolean; title?: string }[];
  value: V;
  onChange: (value: V) => void;
}

/** One of a few, all visible. */
export function Segment<V extends string>({ label, options, value, onChange }: SegmentProps<V>) {
  return (
    <div className="seg" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          disabled={option.disabled}
          title={option.title}
          onClick={() => onChange(option.value)}
        >
          {option.text}
        </button>
      ))}
    </div>
  );
}

interface SelectProps<V extends string> {
  label: string;
  options: readonly { value: V; text: string; disabled?: boolean }[];
  value: V;
  onChange: (value: V) => void;
  className?: string;
  id?: string;
}

/** The platform's own list: it works everywhere, on phones best. */
export function Select<V extends string>({ label, options, value, onChange, className = "", id }: SelectProps<V>) {
  return (
    <select id={id} className={`field ${className}`} aria-label={label} value={value} onChange={(event) => onChange(event.target.value as V)}>
      {options.map((option) => (
        <option key={option.value} value={option.value} disabled={option.disabled}>
          {option.text}
        </option>
      ))}
    </select>
  );
}

export function Checkbox({ children, ...rest }: InputHTMLAttributes<HTMLInputElement> & { children?: ReactNode }) {
  return (
    <label className="check">
      <input type="checkbox" {...rest} />
      {children}
    </label>
  );
}

export function Chip({ name, children, onRemove, chosen = false, onClick }: { name: string; children: ReactNode; onRemove?: () => void; chosen?: boolean; onClick?: () => void }) {
  const text = (
    <>
      {name} <b>{children}</b>
    </>
  );
  return (
    <span className={`chip ${chosen ? "brush" : ""}`}>
      {onClick ? <button type="button" className="cut" onClick={onClick}>{text}</button> : <span className="cut">{text}</span>}
      {onRemove && (
        <button type="button" className="x" aria-label={`Remove filter ${name}`} onClick={onRemove}>
          <Icon name="x" size={12} />
        </button>
      )}
    </span>
  );
}

export const Bar = ({ share, label }: { share: number | null; label: string }) => (
  <div
    className={`bar ${share === null ? "unknown" : ""}`}
    role="progressbar"
    aria-label={label}
    aria-valuemin={0}
    aria-valuemax={100}
    aria-valuenow={share === null ? undefined : Math.round(100 * share)}
  >
    <i style={{ width: `${100 * Math.min(1, Math.max(0, share ?? 0))}%` }} />
  </div>
);

export type State = "queued" | "running" | "done" | "cancelled" | "failed" | "stalled" | "interrupted" | "cancelling";
const STATES: Record<State, [IconName, string]> = {
  queued: ["jobs", "dim"],
  running: ["play", "acc"],
  done: ["check", "soft"],
  cancelled: ["x", "dim"],
  cancelling: ["x", "dim"],
  failed: ["warn", "bad"],
  stalled: ["warn", "warn"],
  interrupted: ["pause", "warn"],
};

/** A glyph and a word; colour only says it again. */
export function Status({ state, text }: { state: State; text?: string }) {
  const [icon, tone] = STATES[state] ?? ["jobs", "dim"];
  return (
    <span className={`status ${tone}`} data-state={state}>
      <Icon name={icon} size={14} />
      {text ?? state}
    </span>
  );
}

export const Kbd = ({ children }: { children: ReactNode }) => <kbd>{children}</kbd>;
