import { Navigate, useRouterState } from "@tanstack/react-router";
import { Link } from "@tanstack/react-router";
import { useExtractions } from "../api/queries";
import { Page } from "../parts/page";
import { useCurrentExtraction } from "../parts/rail";
import { Empty, Failure } from "../parts/states";

const TITLES: Record<string, string> = { features: "Features", fire: "Fire", steer: "Steer" };

/** Features, Fire and Steer without an extraction in the address: the last one, or how to make the first. */
export function ChooseExtraction() {
  const section = useRouterState({ select: (state) => state.location.pathname.split("/")[1] ?? "features" });
  const search = useRouterState({ select: (state) => state.location.search });
  const extractions = useExtractions();
  const current = useCurrentExtraction();
  if (current) return <Navigate to={`/${section}/${encodeURIComponent(current)}` as "/"} search={search} replace />;
  return (
    <Page title={TITLES[section] ?? ""}>
      {extractions.isError && <Failure error={extractions.error} retry={() => void extractions.refetch()} />}
      {extractions.isSuccess && <NoExtraction />}
    </Page>
  );
}

export function NoExtraction() {
  return (
    <Empty
      title="No extraction yet"
      actions={
        <>
          <Link className="btn primary" to="/">First steps</Link>
          <Link className="btn" to="/extract">New extraction</Link>
        </>
      }
    >
      <p>An extraction records what every feature of an SAE does over a dataset. Run one, or let the demo make a small model’s SAE, its extraction and its labels: some minutes, no account.</p>
      <p className="xs dim">Or in a terminal: <span className="mono">saescope demo</span></p>
    </Empty>
  );
}
