"""What company costs: three SAEs on two hookpoints, trained in one pass of the model.

    python benchmarks/one_pass.py [--tokens 65536] [--rounds 2]

The job itself, on the demo's model and text. Its document says how long the model ran, how long each SAE's own steps
took, and how long reading and training took together: the rest is shuffle, copies, metrics and checkpoints. The ratio,
together / (model + sum of steps), may be 1.3 at most. Then a run that reads a float16 cache instead of the model.
"""

import argparse
import json
import tempfile

import saescope
from saescope.jobs.demo import MODEL, TRAINING_TEXT, bring
from saescope.specs import TrainSae, TrainSaes
from saescope.studio import Studio

SAES = (
    {"hookpoint": "layers.5.resid_post", "d_sae": 4096, "kind": "topk"},
    {"hookpoint": "layers.10.resid_post", "d_sae": 4096, "kind": "batchtopk"},
    {"hookpoint": "layers.10.resid_post", "d_sae": 2048, "kind": "jumprelu"},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=65_536)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, saescope.open(folder) as studio:
        bring(studio)
        for number in range(given.rounds):
            print(json.dumps(one(studio, f"plain{number}", given.tokens, "none")), flush=True)
        for number, what in enumerate(("filling", "reading")):
            print(json.dumps({"cache": what, **one(studio, f"cached{number}", given.tokens, "float16")}), flush=True)


def one(studio: Studio, name: str, tokens: int, cache: str) -> dict[str, float]:
    """One training of the three; seconds, and what company cost."""
    shared = {"model": MODEL, "dataset": TRAINING_TEXT, "tokens": tokens, "batch": 2048, "buffer": tokens}
    saes = [TrainSae(**shared, **sae, cache=cache, name=f"{name}-{i}") for i, sae in enumerate(SAES)]
    phases = [each["phases"] for each in studio.run(TrainSaes(saes=tuple(saes)))["saes"]]
    together, model = phases[0]["model"] + phases[0]["training"], phases[0]["model"]
    steps = sum(each["own"] for each in phases)
    return {"together": together, "model": model, "steps": steps, "ratio": together / (model + steps)}


if __name__ == "__main__":
    main()
