import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { App } from "./app";
import { parseSearch, stringifySearch, type Search } from "./lib/search";
import { Lost, Broken } from "./pages/lost";

const root = createRootRoute({ component: App, notFoundComponent: Lost, validateSearch: (search): Search => search as Search });

// Every page is a file of its own, fetched when it is opened (or pointed at).
const page = <P extends string>(path: P, component: ReturnType<typeof lazyRouteComponent>) =>
  createRoute({ getParentRoute: () => root, path, component });

const routeTree = root.addChildren([
  page("/", lazyRouteComponent(() => import("./pages/home"), "Home")),
  page("/features", lazyRouteComponent(() => import("./pages/choose"), "ChooseExtraction")),
  page("/features/$extraction", lazyRouteComponent(() => import("./pages/features/page"), "Features")),
  page("/features/$extraction/$index", lazyRouteComponent(() => import("./pages/feature/page"), "Feature")),
  page("/fire", lazyRouteComponent(() => import("./pages/choose"), "ChooseExtraction")),
  page("/fire/$extraction", lazyRouteComponent(() => import("./pages/fire/page"), "Fire")),
  page("/steer", lazyRouteComponent(() => import("./pages/choose"), "ChooseExtraction")),
  page("/steer/$extraction", lazyRouteComponent(() => import("./pages/steer/page"), "Steer")),
  page("/datasets", lazyRouteComponent(() => import("./pages/datasets"), "Datasets")),
  page("/datasets/$name", lazyRouteComponent(() => import("./pages/datasets"), "Dataset")),
  page("/models", lazyRouteComponent(() => import("./pages/models"), "Models")),
  page("/models/$name", lazyRouteComponent(() => import("./pages/models"), "Model")),
  page("/saes", lazyRouteComponent(() => import("./pages/saes"), "Saes")),
  page("/saes/$name", lazyRouteComponent(() => import("./pages/saes"), "Sae")),
  page("/train", lazyRouteComponent(() => import("./pages/train/page"), "Train")),
  page("/extract", lazyRouteComponent(() => import("./pages/extract"), "Extract")),
  page("/jobs", lazyRouteComponent(() => import("./pages/jobs/page"), "Jobs")),
  page("/jobs/$id", lazyRouteComponent(() => import("./pages/jobs/page"), "Job")),
  page("/settings", lazyRouteComponent(() => import("./pages/settings"), "Settings")),
]);

export const router = createRouter({
  routeTree,
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultErrorComponent: Broken,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
