import { createRootRoute, createRoute, createRouter, lazyRouteComponent } from "@tanstack/react-router";
import { cache } from "./api/cache";
import { feature } from "./api/feature";
import { featureCount, featurePage, points } from "./api/features";
import { App } from "./app";
import { parseSearch, stringifySearch, type Search } from "./lib/search";
import { queryOf } from "./pages/features/query";
import { Lost, Broken } from "./pages/lost";

const root = createRootRoute({ component: App, notFoundComponent: Lost, validateSearch: (search): Search => search as Search });

type Opened = { params: Record<string, string>; search: Search };

// Every page is a file of its own, fetched when it is opened (or pointed at). What it asks first is asked meanwhile.
const page = <P extends string>(path: P, component: ReturnType<typeof lazyRouteComponent>, ask?: (opened: Opened) => void) =>
  createRoute({ getParentRoute: () => root, path, component, beforeLoad: ({ params, search }) => ask?.({ params, search } as Opened) });

function askList({ params: { extraction = "" }, search }: Opened): void {
  const query = queryOf(search);
  void cache.prefetchQuery(featureCount(extraction, { where: query.where, search: query.search }));
  void cache.prefetchQuery(featurePage(extraction, query, 0));
  void cache.prefetchQuery(points(extraction));
}

function askFeature({ params: { extraction = "", index = "" } }: Opened): void {
  if (/^\d+$/.test(index)) void cache.prefetchQuery(feature(extraction, Number(index)));
}

const routeTree = root.addChildren([
  page("/", lazyRouteComponent(() => import("./pages/home"), "Home")),
  page("/features", lazyRouteComponent(() => import("./pages/choose"), "ChooseExtraction")),
  page("/features/$extraction", lazyRouteComponent(() => import("./pages/features/page"), "Features"), askList),
  page("/features/$extraction/$index", lazyRouteComponent(() => import("./pages/feature/page"), "Feature"), askFeature),
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
