import { Page } from "../../parts/page";

export function Features() {
  return <Page title="Features">{null}</Page>;
}
