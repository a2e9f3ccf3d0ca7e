import { Dialog as Base } from "@base-ui/react/dialog";
import { useRef, type ReactNode } from "react";
import { Button } from "./controls";

interface Props {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  wide?: boolean;
  /** The heading is read aloud but not drawn. */
  bare?: boolean;
  className?: string;
}

/** A window above the page: focus stays in it, Esc closes it and gives the focus back. */
export function Dialog({ open, onClose, title, children, wide = false, bare = false, className = "" }: Props) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="scrim" />
        <Base.Popup data-modal className={`dialog ${wide ? "wide-dialog" : ""} ${className}`}>
          <Base.Title className={bare ? "sr" : "dialog-title"}>{title}</Base.Title>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** What the dangerous button says, as a verb. */
  action: string;
  onConfirm: () => void;
  busy?: boolean;
}

/** Asks before something is lost: names what depends on it, and the safe answer has the focus. */
export function Confirm({ open, onClose, title, children, action, onConfirm, busy = false }: ConfirmProps) {
  const safe = useRef<HTMLButtonElement>(null);
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="scrim" />
        <Base.Popup data-modal className="dialog" initialFocus={safe} role="alertdialog">
          <Base.Title className="dialog-title">{title}</Base.Title>
          <div className="dialog-body">{children}</div>
          <div className="dialog-foot">
            <Base.Close ref={safe} className="btn primary">Keep it</Base.Close>
            <Button onClick={onConfirm} disabled={busy}>{action}</Button>
          </div>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
