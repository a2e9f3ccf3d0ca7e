"""The strongest clear features of the demo, and a text steered with one of them.

Run `make demo` first, then:

    .venv/bin/python examples/first_features.py

It uses the same home as the demo: SAESCOPE_HOME, or your user data folder.
"""

import sys

import saescope
from saescope.errors import NotFound

EXTRACTION = "demo"
PROMPT = "My fellow citizens, the state of our Union is"

studio = saescope.open()

# Features that are rare enough to mean something, seen often enough to trust, and whose label covers nearly all of
# their strongest examples. Everything the command line can do, the studio can.
try:
    listed = studio.list_features(
        EXTRACTION,
        sort="max",
        where="density<0.01 and active_samples>=20 and clarity>=0.8",
        limit=8,
    )
except NotFound:
    sys.exit(f"there is no extraction {EXTRACTION!r} in {studio.home.root}: run `make demo` first")
if not listed["features"]:
    sys.exit("no feature is that rare and that clear: loosen the conditions above")

print(f"{listed['matching']} of {listed['total']} features are rare and clear; the strongest of them:\n")
for feature in listed["features"]:
    print(f"  {feature['index']:>5}  {feature['density']:7.3%}  max {feature['max']:6.1f}  {feature['label']}")

# One of them, whole. A position minus the window's start is a place in the window.
chosen = studio.show_feature(EXTRACTION, listed["features"][0]["index"])
print(f"\nfeature {chosen['index']}: {chosen['label']}")
for example in [example for example in chosen["examples"] if example["stratum"] == "top"][:5]:
    at = example["peak"] - example["start"]
    tokens = example["tokens"]
    text = "".join(tokens[max(0, at - 8) : at]) + f"[{tokens[at]}]" + "".join(tokens[at + 1 : at + 5])
    print(f"  {example['activation']:6.1f}  {' '.join(text.split())}")

# All of them at once, as Arrow columns: one row per feature.
density = studio.features(EXTRACTION).to_arrow(["density"]).column("density").to_numpy()
print(f"\nmedian density of all {len(density)} features: {sorted(density)[len(density) // 2]:.3%}")

# The prompt, continued as it is and with the feature held up. The unit is the feature's own maximum.
extraction = next(record for record in studio.extractions() if record.name == EXTRACTION)
for amount in (0.5, 1.0):
    edit = saescope.Edit(feature=chosen["index"], mode="add", amount=amount)
    steered = studio.run(saescope.SteerText(sae=extraction.sae, prompt=PROMPT, edits=(edit,), max_new_tokens=40))
    if amount == 0.5:
        print(f"\n{PROMPT}\n\n  original   {' '.join(steered['original'].split())}")
    print(f"  + {amount:g} max    {' '.join(steered['steered'].split()) or '(the model ended the text)'}")

studio.close()
