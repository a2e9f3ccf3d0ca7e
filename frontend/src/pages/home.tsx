import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { send } from "../api/actions";
import { jobs as jobsQuery, kindOf, live, share, stateOf, type Job } from "../api/jobs";
import { get, useDatasets, useExtractions, useModels, useSaes } from "../api/queries";
import { bytes, fixed, int, moment, percent } from "../lib/format";
import { Bar, Button, Status } from "../parts/controls";
import { Page } from "../parts/page";
import { Failure } from "../parts/states";
import { copy } from "../parts/toast";
import { Things } from "../parts/things";
import "./home.css";

interface Machine {
  cpu?: number | null;
  memory_bytes?: number;
  memory_free_bytes?: number;
  device?: string | null;
  disk_free_bytes?: number;
  version?: string;
  home?: string;
}

export function Home() {
  const datasets = useDatasets();
  const models = useModels();
  const saes = useSaes();
  const extractions = useExtractions();
  const jobs = useQuery(jobsQuery());
  const machine = useQuery({ queryKey: ["machine"], queryFn: ({ signal }) => get<Machine>("/machine", signal), retry: false, staleTime: 60_000 });
  const known = extractions.isSuccess && datasets.isSuccess && models.isSuccess && saes.isSuccess;
  const nothing = known && !extractions.data.length && !saes.data.length && !datasets.data.length && !models.data.length;
  const attention = (jobs.data ?? []).filter((job) => live(job) || job.state === "failed").slice(0, 5);
  const steps = next(datasets.data?.length ?? 0, models.data?.length ?? 0, saes.data?.map((one) => one.name) ?? [], extractions.data?.map((one) => ({ name: one.name, sae: one.sae })) ?? []);
  return (
    <Page title="Home">
      <div className="homegrid">
        <div className="homemain">
          {extractions.isError && <Failure error={extractions.error} retry={() => void extractions.refetch()} />}
          {nothing && <First />}
          {extractions.data && extractions.data.length > 0 && (
            <section>
              <h2>Extractions</h2>
              <Things
                label="Extractions"
                rows={[...extractions.data].reverse().slice(0, 5)}
                to={(one) => `/features/${encodeURIComponent(one.name)}`}
                columns={[
                  { title: "SAE", cell: (one) => one.sae },
                  { title: "Hookpoint", wide: true, cell: (one) => <span className="mono">{one.hookpoint}</span> },
                  { title: "Features", right: true, cell: (one) => int(one.features) },
                  { title: "Tokens", right: true, wide: true, cell: (one) => int(one.tokens) },
                  { title: "FVU", right: true, wide: true, cell: (one) => fixed(one.provenance?.probe?.fvu, 3) },
                  { title: "Made", right: true, wide: true, cell: (one) => moment(one.created) },
                ]}
              />
              {extractions.data.length > 5 && <p className="xs dim">and {extractions.data.length - 5} older: the switcher at the top left has all.</p>}
            </section>
          )}
          {saes.data && saes.data.length > 0 && (
            <section>
              <h2>SAEs</h2>
              <Things
                label="SAEs"
                rows={[...saes.data].reverse().slice(0, 5)}
                to={(one) => `/saes/${encodeURIComponent(one.name)}`}
                columns={[
                  { title: "Kind", cell: (one) => one.kind },
                  { title: "Hookpoint", wide: true, cell: (one) => <span className="mono">{one.hookpoint}</span> },
                  { title: "Features", right: true, cell: (one) => int(one.d_sae) },
                  { title: "FVU", right: true, wide: true, cell: (one) => fixed(one.metrics.fvu, 3) },
                  { title: "CE recovered", right: true, wide: true, cell: (one) => percent(one.metrics.ce_recovered) },
                ]}
              />
              {saes.data.length > 5 && <Link className="acc xs" to="/saes">all {saes.data.length}</Link>}
            </section>
          )}
        </div>
        <aside className="homeside" aria-label="Now and next">
          {attention.length > 0 && (
            <section>
              <h2>Now</h2>
              <ul>{attention.map((job) => <Now key={job.id} job={job} />)}</ul>
            </section>
          )}
          {steps.length > 0 && (
            <section>
              <h2>Next</h2>
              <ul>{steps.map(([text, to]) => <li key={text}><Link className="acc" to={to as "/"}>{text}</Link></li>)}</ul>
            </section>
          )}
          {machine.data && (
            <section>
              <h2>This machine</h2>
              <dl className="defs">
                {machine.data.device ? <><dt>device</dt><dd>{machine.data.device}</dd></> : machine.data.cpu ? <><dt>processor</dt><dd>{int(machine.data.cpu)} cores</dd></> : null}
                {machine.data.memory_bytes !== undefined && <><dt>memory</dt><dd>{bytes(machine.data.memory_free_bytes)} free of {bytes(machine.data.memory_bytes)}</dd></>}
                {machine.data.disk_free_bytes !== undefined && <><dt>disk</dt><dd>{bytes(machine.data.disk_free_bytes)} free</dd></>}
                {machine.data.home && <><dt>home</dt><dd className="mono">{machine.data.home}</dd></>}
                {machine.data.version && <><dt>saescope</dt><dd>{machine.data.version}</dd></>}
              </dl>
            </section>
          )}
        </aside>
      </div>
    </Page>
  );
}

function Now({ job }: { job: Job }) {
  return (
    <li className="now">
      <Link to="/jobs/$id" params={{ id: job.id }} className="row"><span className="cut grow">{kindOf(job)} {job.name}</span><Status state={stateOf(job)} /></Link>
      {live(job) && <Bar share={job.state === "queued" ? 0 : share(job)} label={job.name} />}
      {job.error && job.state === "failed" && <p className="xs dim">{job.error.message}</p>}
    </li>
  );
}

/** The first visit: what this is, the demo, and the ways in. */
function First() {
  const navigate = useNavigate();
  const demo = useMutation({ mutationFn: () => send<Job>("POST", "/demo"), onSuccess: (job) => navigate({ to: "/jobs/$id", params: { id: job.id } }) });
  return (
    <section className="first">
      <h2 className="bignum">Read a language model through its features</h2>
      <p>A sparse autoencoder takes a model’s activations apart into features. Here you train or bring one, pass text through it, read what every feature is active on, give it a name, and steer the model with it.</p>
      <div className="row wrap">
        <Button look="primary" disabled={demo.isPending} onClick={() => demo.mutate()}>Run the demo</Button>
        <span className="sm dim">a small model, real speeches, some minutes, no account; in a terminal: <button type="button" className="acc mono" onClick={() => void copy("saescope demo", "Command copied")}>saescope demo</button></span>
      </div>
      {demo.isError && <Failure error={demo.error} />}
      <ul className="ways">
        <li><Link className="acc" to="/datasets" search={{ add: "1" } as never}>Add a dataset</Link> from the hub or your files</li>
        <li><Link className="acc" to="/models" search={{ add: "1" } as never}>Add a model</Link> from the hub, a folder, a .gguf file</li>
        <li><Link className="acc" to="/saes" search={{ add: "1" } as never}>Bring a trained SAE</Link> in any format known here</li>
        <li><Link className="acc" to="/train">Train an SAE</Link> on a dataset of yours</li>
      </ul>
    </section>
  );
}

/** Up to four steps that what is here makes possible and nothing has done yet. */
export function next(datasets: number, models: number, saes: readonly string[], extractions: readonly { name: string; sae: string }[]): [string, string][] {
  const steps: [string, string][] = [];
  if (!datasets) steps.push(["Add a dataset", "/datasets?add=1"]);
  if (!models) steps.push(["Add a model", "/models?add=1"]);
  if (datasets && models && !saes.length) steps.push(["Train an SAE", "/train"]);
  for (const sae of saes) if (datasets && !extractions.some((one) => one.sae === sae)) steps.push([`Extract the features of ${sae}`, `/extract?saes=${encodeURIComponent(sae)}`]);
  const newest = extractions.at(-1)?.name;
  if (newest) {
    steps.push([`Read the features of ${newest}`, `/features/${encodeURIComponent(newest)}?sort=-detection_low`], [`Fire a text of your own`, `/fire/${encodeURIComponent(newest)}`], ["Steer the model", `/steer/${encodeURIComponent(newest)}`]);
  }
  return steps.slice(0, 4);
}
