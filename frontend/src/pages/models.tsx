import { Page } from "../parts/page";

export function Models() {
  return <Page title="Models">{null}</Page>;
}

export function Model() {
  return <Page title="Model">{null}</Page>;
}

