import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { feature } from "../../api/feature";
import { density, fixed } from "../../lib/format";
import { useSettled } from "../../lib/hooks";
import { Label } from "../../parts/label";
import { ConcordanceRow, TokenTips } from "../../parts/tokens";

/** A feature at a glance: label, three figures, eight examples. Follows the pointer or the chosen row. */
export function Peek({ extraction, index }: { extraction: string; index: number | null }) {
  const settled = useSettled(index, 60);
  const { data } = useQuery({ ...feature(extraction, settled ?? 0), enabled: settled !== null, placeholderData: keepPreviousData });
  if (!data || settled === null) return <aside className="peek" aria-label="Feature at a glance"><p className="xs dim">Point at a feature, or move with j and k.</p></aside>;
  return (
    <aside className="peek" aria-label="Feature at a glance">
      <div className="row">
        <span className="num acc">{data.index}</span>
        <b className="cut grow"><Label text={data.label} source={data.label_source} /></b>
        <kbd>Enter</kbd>
      </div>
      <dl className="kv">
        <div><dt>density</dt><dd>{density(data.density)}</dd></div>
        <div><dt>max</dt><dd>{fixed(data.dead ? null : data.max, 1)}</dd></div>
        <div><dt>score</dt><dd>{fixed(data.score, 2)}</dd></div>
      </dl>
      {data.dead ? (
        <p className="xs dim">Never active here: no examples.</p>
      ) : (
        <TokenTips max={data.max}>
          {data.examples.filter((example) => example.stratum === "top").slice(0, 8).map((example) => (
            <ConcordanceRow key={`${example.sample}:${example.peak}`} tokens={example.tokens} activations={example.activations} max={data.max} peak={example.peak - example.start} start={example.start} width={16} />
          ))}
        </TokenTips>
      )}
      <p className="xs dim hintline">Follows the pointer or the row.</p>
    </aside>
  );
}
