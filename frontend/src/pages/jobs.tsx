import { Page } from "../parts/page";

export function Jobs() {
  return <Page title="Jobs">{null}</Page>;
}

export function Job() {
  return <Page title="Job">{null}</Page>;
}

