import { Page } from "../parts/page";

export function Train() {
  return <Page title="Train">{null}</Page>;
}

