import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { cancelJob, kindOf, live, resumeJob, type Job as JobRow } from "../../api/jobs";
import { Button } from "../../parts/controls";
import { Confirm } from "../../parts/dialog";

/** Cancel and resume; what shows the job is read anew. */
export function useActions(job: JobRow) {
  const client = useQueryClient();
  const done = { onSuccess: () => Promise.all([client.invalidateQueries({ queryKey: ["jobs"] }), client.invalidateQueries({ queryKey: ["job", job.id] })]) };
  const cancel = useMutation({ mutationFn: () => cancelJob(job.id), ...done });
  const resume = useMutation({ mutationFn: () => resumeJob(job.id), ...done });
  return { cancel, resume };
}

export const resumable = (job: JobRow) => job.state === "failed" || job.state === "cancelled";

/** What can be done with a job, as buttons. */
export function Actions({ job, big = false }: { job: JobRow; big?: boolean }) {
  const { cancel, resume } = useActions(job);
  const [asking, setAsking] = useState(false);
  const failed = cancel.error ?? resume.error;
  return (
    <>
      {failed && <span className="bad sm" role="alert">△ {failed.message}</span>}
      {live(job) && <Button look={big ? "plain" : "ghost"} className={big ? "" : "tight"} disabled={job.cancel || cancel.isPending} onClick={() => setAsking(true)}>{job.cancel ? "Cancelling…" : "Cancel"}</Button>}
      {resumable(job) && <Button look={big ? "primary" : "ghost"} className={big ? "" : "tight"} disabled={resume.isPending} onClick={() => resume.mutate()}>Resume</Button>}
      <Confirm open={asking} onClose={() => setAsking(false)} title={`Cancel ${kindOf(job).toLowerCase()} ${job.name}?`} action="Cancel the job" onConfirm={() => { setAsking(false); cancel.mutate(); }}>
        <p>It stops at the next whole step. What is finished is kept: Resume goes on from there.</p>
      </Confirm>
    </>
  );
}
