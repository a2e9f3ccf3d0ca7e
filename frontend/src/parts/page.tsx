import { Link } from "@tanstack/react-router";
import { useEffect, type ReactNode } from "react";
import { IconButton } from "./controls";
import { Icon } from "./icons";
import { openPalette } from "./palette-state";
import { openRail } from "./rail";

export interface Crumb {
  text: string;
  to?: string;
}

/** One page: the bar with crumbs, title, actions and search; below it the page's own content, in <main>. */
export function Page({ crumbs = [], title, actions, children, className = "" }: { crumbs?: readonly Crumb[]; title: string; actions?: ReactNode; children: ReactNode; className?: string }) {
  useEffect(() => {
    document.title = [title, ...[...crumbs].reverse().map((crumb) => crumb.text), "saescope"].join(" · ");
  });
  return (
    <>
      <header className="top">
        <IconButton icon="menu" label="Menu" className="menu" onClick={openRail} />
        {crumbs.map((crumb) =>
          crumb.to ? (
            <Link key={crumb.text} className="crumb wide cut" to={crumb.to} title={crumb.text}>{crumb.text}</Link>
          ) : (
            <span key={crumb.text} className="crumb wide cut" title={crumb.text}>{crumb.text}</span>
          ),
        )}
        <h1 className="cut" title={title}>{title}</h1>
        <span className="grow" />
        {actions}
        <button type="button" className="find" aria-label="Search or jump to… Ctrl K" onClick={openPalette}>
          <Icon name="find" size={14} />
          <span>Search or jump to…</span>
          <kbd>Ctrl K</kbd>
        </button>
      </header>
      <main id="main" tabIndex={-1} className={className}>
        {children}
      </main>
    </>
  );
}
