import { Page } from "../parts/page";

export function Saes() {
  return <Page title="Saes">{null}</Page>;
}

export function Sae() {
  return <Page title="Sae">{null}</Page>;
}

