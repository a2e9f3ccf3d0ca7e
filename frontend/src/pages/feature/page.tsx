import { Page } from "../../parts/page";

export function Feature() {
  return <Page title="Feature">{null}</Page>;
}
