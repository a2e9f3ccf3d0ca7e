import { Page } from "../parts/page";

export function Home() {
  return <Page title="Home">{null}</Page>;
}

