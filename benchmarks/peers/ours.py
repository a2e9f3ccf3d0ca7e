"""saescope on the work of a setting: what `saescope extract` does, from reading tokens to tables on disk.

    python ours.py WORK [--warm]

Loading the model is left out, as it is for every tool. The facts that depend on the SAE's weights alone are worked
out anew, though a second extraction of the same SAE would find them.
"""

import argparse
from pathlib import Path

from setting import Setting, write_times

import saescope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--warm", action="store_true", help="one sample alone: compiles loops, once an installation")
    arguments = parser.parse_args()
    setting = Setting.read(arguments.work)
    with saescope.open(arguments.work / "home") as studio:
        for record in studio.extractions():
            studio.remove("extraction", record.name)
        for record in studio.saes():
            studio.remove("sae", record.name)
        name, source = "random", str(arguments.work / "saelens")
        studio.run(saescope.AddSae(name=name, source=source, model=setting.model, hookpoint=setting.hookpoint))
        answer = studio.run(
            saescope.ExtractFeatures(
                name=name,
                saes=(name,),
                dataset=setting.dataset,
                samples=1 if arguments.warm else setting.samples,
                context=setting.context,
                force=True,  # a random SAE explains nothing
            )
        )
    if not arguments.warm:
        phases = answer["phases"]
        each = (answer["seconds"] - phases["prepare"]) / setting.d_sae
        write_times(arguments.work, "saescope", "saescope", setting, 0.0, each, setting.d_sae, phases=phases)


if __name__ == "__main__":
    main()
