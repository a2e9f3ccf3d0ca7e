import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo } from "react";
import { showLabel } from "../../api/actions";
import type { FeatureDetail, LabelRow, Score } from "../../api/feature";
import { fixed, moment, plural } from "../../lib/format";
import { useWords } from "../../lib/hooks";
import { Select } from "../../parts/controls";
import { Icon } from "../../parts/icons";

export const author = (label: LabelRow) => (label.source === "person" ? "you" : label.source === "lexical" ? "rule" : (label.model ?? label.source));

/** Who wrote a label, told apart as far as one would compare them: the explainer, and its model. */
const writer = (label: LabelRow) => (label.model ? `${label.source}:${label.model}` : label.source);
const NAMES: Record<string, string> = { person: "you", lexical: "rule (lexical)", imported: "imported" };
const nameOf = (who: string) => NAMES[who] ?? who.replace(":", " · ");

/** A label's scores by method; of a rule without any, the share of its examples that it covers. */
export function scoresOf(label: LabelRow): [string, Score][] {
  const scores = Object.entries(label.scores ?? {});
  return scores.length || label.clarity == null ? scores : [["clarity", { value: label.clarity }]];
}

/** What a score is worth: interval, answers, chance. */
const worth = (score: Score) =>
  [
    score.low != null && score.high != null ? `${fixed(score.low)}–${fixed(score.high)}` : "",
    score.n ? `n ${score.n}` : "",
    score.failed ? `${score.failed} failed` : "",
    score.chance != null ? `chance ${fixed(score.chance)}` : "",
  ].filter(Boolean).join(", ");

const MEANINGS: Record<string, string> = { clarity: "share of its examples that the rule covers" };

export const ScoreText = ({ method, score }: { method: string; score: Score }) => (
  <span className="scoretext" title={MEANINGS[method] ?? "95 % interval, answers, what chance gives"}>
    {method} <b className="mono soft">{fixed(score.value)}</b> {worth(score) && <span className="xs">({worth(score)})</span>}
  </span>
);

/** Every label of a feature, newest first, and two writers' beside each other. */
export function Labels({ extraction, data }: { extraction: string; data: FeatureDetail }) {
  const client = useQueryClient();
  const choose = useMutation({ mutationFn: (label: LabelRow) => showLabel(client, extraction, data.index, label) });
  const current = data.labels.find((label) => label.current) ?? data.labels[0];
  return (
    <>
      <ol className="history" aria-label="Labels, newest first">
        {data.labels.map((label, at) => {
          const shown = label === current;
          return (
            <li key={label.id ?? at}>
              <span className="acc">{shown && <Icon name="check" size={14} />}</span>
              <span className="text">
                <bdi className={shown ? "" : "soft"}>{label.text}</bdi>
                <span className="scores">{scoresOf(label).map(([method, score]) => <ScoreText key={method} method={method} score={score} />)}</span>
              </span>
              <span className="dim cut" title={[label.source, label.model, label.prompt].filter(Boolean).join(", ")}>{author(label)}</span>
              <span className="dim">{moment(label.created)}</span>
              <span className="r">{!shown && <button type="button" className="acc" disabled={choose.isPending} onClick={() => choose.mutate(label)}>Show this</button>}</span>
            </li>
          );
        })}
        {choose.isError && <li><span className="bad">△</span><span className="text bad">{choose.error.message}</span></li>}
      </ol>
      <SideBySide labels={data.labels} />
    </>
  );
}

/** The newest labels of two writers, score by score. Which two stays while one goes from feature to feature. */
function SideBySide({ labels }: { labels: readonly LabelRow[] }) {
  const [words, setWords] = useWords();
  const newest = useMemo(() => {
    const found = new Map<string, LabelRow>();
    for (const label of [...labels].sort((a, b) => (b.id ?? 0) - (a.id ?? 0))) if (!found.has(writer(label))) found.set(writer(label), label);
    return found;
  }, [labels]);
  const writers = [...newest.keys()];
  if (writers.length < 2) return <p className="xs dim aside">Labels of two explainers can be compared here once there are two.</p>;
  const left = words.a ?? writers.find((who) => who !== words.b)!;
  const right = words.b ?? writers.find((who) => who !== left)!;
  const pair = [left, right].map((who) => newest.get(who));
  const methods = [...new Set(pair.flatMap((label) => (label ? scoresOf(label).map(([method]) => method) : [])))];
  const options = (chosen: string) => [...new Set([...writers, chosen])].map((value) => ({ value, text: nameOf(value) }));
  return (
    <table className="beside" aria-label="Two explainers side by side">
      <thead>
        <tr>
          <th scope="col"><Select label="Labels on the left by" value={left} options={options(left)} onChange={(a) => setWords({ a, b: right })} /></th>
          <th scope="col"><Select label="Labels on the right by" value={right} options={options(right)} onChange={(b) => setWords({ a: left, b })} /></th>
        </tr>
      </thead>
      <tbody>
        <tr>{pair.map((label, at) => <td key={at}>{label ? <bdi>{label.text}</bdi> : <span className="dim">no label of this writer</span>}</td>)}</tr>
        <tr className="xs dim">{pair.map((label, at) => <td key={at}>{label && [moment(label.created), label.samples?.length ? `from ${plural(label.samples.length, "sample")}` : "", label.prompt ?? ""].filter(Boolean).join(" · ")}</td>)}</tr>
      </tbody>
      {methods.map((method) => {
        const scores = pair.map((label) => (label ? scoresOf(label).find(([name]) => name === method)?.[1] : undefined));
        return (
          <tbody key={method}>
            <tr><th scope="colgroup" colSpan={2}>{method}</th></tr>
            <tr>
              {scores.map((score, at) => (
                <td key={at} className={clear(score, scores[1 - at]) ? "best" : ""}>
                  {score ? <><b className="mono">{fixed(score.value)}</b> <span className="xs dim">{worth(score)}</span><Interval score={score} /></> : <span className="dim">not measured</span>}
                </td>
              ))}
            </tr>
          </tbody>
        );
      })}
    </table>
  );
}

/** Whether one score stands above the other with both intervals apart. */
const clear = (one: Score | undefined, other: Score | undefined) => one?.low != null && other?.high != null && one.low > other.high;

/** A score from 0 to 1: its interval as a line, its value as a point, chance as a stroke. */
function Interval({ score }: { score: Score }) {
  const x = (value: number) => `${(100 * Math.min(1, Math.max(0, value))).toFixed(1)}%`;
  return (
    <svg className="interval" aria-hidden="true">
      <line x1="0" x2="100%" y1="6" y2="6" className="axis" />
      {score.chance != null && <line x1={x(score.chance)} x2={x(score.chance)} y1="1" y2="11" className="chance" />}
      {score.low != null && score.high != null && <line x1={x(score.low)} x2={x(score.high)} y1="6" y2="6" className="range" />}
      {score.value != null && <circle cx={x(score.value)} cy="6" r="3.5" />}
    </svg>
  );
}
