import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";
import { Icon, type IconName } from "./icons";

export interface Choice {
  text: ReactNode;
  /** At the right: a count, a key, a size. */
  aside?: ReactNode;
  icon?: IconName;
  run?: () => void;
  href?: string;
  disabled?: boolean;
  /** A choice that can be on or off; the menu stays open. */
  checked?: boolean;
}

/** A button that opens a list of things to do. `null` between choices draws a line, a string a heading. */
export function Menu({ trigger, choices, label, align = "end" }: { trigger: ReactElement<Record<string, unknown>>; choices: readonly (Choice | string | null)[]; label?: string; align?: "start" | "end" }) {
  return (
    <Base.Root modal={false}>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={4} align={align} className="above">
          <Base.Popup className="menu-list" aria-label={label}>
            {choices.map((choice, at) => {
              if (choice === null) return <Base.Separator key={at} className="menu-line" />;
              if (typeof choice === "string") return <div key={at} className="menu-head">{choice}</div>;
              const body = (
                <>
                  {choice.checked !== undefined ? <span className="menu-check">{choice.checked && <Icon name="check" size={14} />}</span> : choice.icon && <Icon name={choice.icon} size={14} />}
                  <span className="cut grow">{choice.text}</span>
                  {choice.aside && <span className="menu-aside">{choice.aside}</span>}
                </>
              );
              if (choice.checked !== undefined)
                return (
                  <Base.CheckboxItem key={at} className="menu-item" checked={choice.checked} disabled={choice.disabled} onCheckedChange={() => choice.run?.()} closeOnClick={false}>
                    {body}
                  </Base.CheckboxItem>
                );
              if (choice.href !== undefined)
                return (
                  <Base.Item key={at} className="menu-item" disabled={choice.disabled} render={<a href={choice.href} download />}>
                    {body}
                  </Base.Item>
                );
              return (
                <Base.Item key={at} className="menu-item" disabled={choice.disabled} onClick={() => choice.run?.()}>
                  {body}
                </Base.Item>
              );
            })}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
