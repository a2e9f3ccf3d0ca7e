"""The help of a flag is the sentence under its spec field."""

import typer
from pydantic_core import PydanticUndefined

from saescope import specs
from saescope.cli.main import app
from saescope.cli.spec_help import REQUIRED, sentences


def test_sentences_and_defaults_are_those_of_the_specs():
    for spec, fields in sentences().items():
        known = getattr(specs, spec).model_fields
        for field, (sentence, default) in fields.items():
            assert sentence == known[field].description
            assert default == (REQUIRED if known[field].default is PydanticUndefined else known[field].default)
        assert list(fields) == list(known)


def test_every_spec_field_has_its_flag():
    commands = typer.main.get_command(app).commands
    for spec, command in (
        (specs.TrainSae, commands["train"]),
        (specs.ExtractFeatures, commands["extract"]),
        (specs.LabelFeatures, commands["label"]),
        (specs.SteerText, commands["steer"]),
        (specs.FireText, commands["features"].commands["fire"]),
        (specs.AddDataset, commands["dataset"].commands["add"]),
        (specs.AddModel, commands["model"].commands["add"]),
        (specs.AddSae, commands["sae"].commands["add"]),
    ):
        helps = {parameter.name: parameter.help for parameter in command.params}
        for name, field in spec.model_fields.items():
            if name != "edits":
                assert helps[name].removesuffix(" May be given several times.") == field.description
