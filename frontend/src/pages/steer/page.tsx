import { Page } from "../../parts/page";

export function Steer() {
  return <Page title="Steer">{null}</Page>;
}
