import { Page } from "../parts/page";

export function Extract() {
  return <Page title="Extract">{null}</Page>;
}

