import { Page } from "../../parts/page";

export function Fire() {
  return <Page title="Fire">{null}</Page>;
}
