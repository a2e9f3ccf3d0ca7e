import { Link, type ErrorComponentProps } from "@tanstack/react-router";
import { Page } from "../parts/page";
import { Empty, Failure } from "../parts/states";

export function Lost() {
  return (
    <Page title="No such page">
      <Empty title="There is no page at this address" actions={<Link className="btn primary" to="/">Home</Link>}>
        The link may be cut, or what it named has been removed. Ctrl K finds pages, features and extractions.
      </Empty>
    </Page>
  );
}

export function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <Page title="This page failed">
      <Failure error={error} title="This page could not be drawn" safe="Nothing in the home was changed." retry={reset} />
    </Page>
  );
}
