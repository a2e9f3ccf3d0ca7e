"""An SAE whose features are known rules, from the text to scored labels: the scores know which label is true."""

import json
import random
from itertools import product
from statistics import mean

import pytest

import saescope
from labeling.planted import NOUNS, VERBS, corpus
from saescope.jobs.label_evidence import materials
from saescope.labeling.scoring import score_rule
from saescope.store import catalogue
from saescope.store.labels import current_labels
from support import planted_sae

BIGRAMS = [("the", "river"), ("of", "senate"), ("was", "built"), ("to", "bank"), ("in", "winter"), ("and", "army")]


def documents() -> list[str]:
    """Rows of text; most of the words are exchanged for others, so that each stands in few rows."""
    draw, texts = random.Random(3), []
    others = ["".join(letters) for letters in product("bdfgk", "aeou", "lmnr", "ai")]
    for row in corpus(1) + corpus(2):
        words = row.copy()
        for at in range(1, len(row)):
            known = row[at][1:] in (*NOUNS, *VERBS) and (row[at - 1][1:], row[at][1:]) not in BIGRAMS
            if known and draw.random() < 0.75:
                words[at] = " " + draw.choice(others)
        text = "".join(words)
        while '"' in text:
            text = text.replace('"', " “", 1).replace('"', " ”", 1)
        texts.append(text)
    return texts


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(studio, rules by feature, every feature's Material, its label)."""
    root = tmp_path_factory.mktemp("planted")
    texts = documents()
    (root / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    tokenizer = planted_sae.tokenizer_of(texts)
    rules = planted_sae.features(tokenizer, [*NOUNS, *VERBS], BIGRAMS)
    at = planted_sae.write_model(root / "model", tokenizer)
    planted_sae.write_sae(root / "sae", tokenizer, at, list(rules))
    with saescope.open(root / "home") as studio:
        studio.run(saescope.AddDataset(name="text", source=str(root / "text.jsonl")))
        studio.run(saescope.AddModel(name="model", source=str(root / "model")))
        studio.run(
            saescope.AddSae(name="sae", source=str(root / "sae"), model="model", hookpoint="layers.0.resid_post")
        )
        request = {"saes": ("sae",), "dataset": "text", "context": 64, "packing": "documents", "name": "found"}
        studio.run(saescope.ExtractFeatures(**request, force=True))
        document = studio.run(saescope.LabelFeatures(extraction="found"))
        extraction, store = studio.context.extraction("found")
        strings = studio.context.vocabulary(catalogue.model(studio.db, "model"))
        labels = current_labels(studio.db, extraction.id)
        graded = {each.text.index: each for each in materials(store, list(range(len(rules))), strings, 0)}
        yield studio, rules, graded, labels, document


def test_every_feature_is_active_where_its_rule_says_and_nowhere_else(found):
    _, rules, graded, _, _ = found
    checked = 0
    for index, (name, rule) in enumerate(rules.items()):
        if name == "quotation":  # a window does not show where a quotation was opened
            continue
        for example in graded[index].text.examples:
            tokens = list(example.tokens)
            active = {at for at, value in enumerate(example.activations) if value > 0}
            held = rule(tokens)
            first = 1 if name.startswith("bigram") else 0
            assert active - {0} == held - set(range(first)) - {0}, name
            checked += 1
    assert checked > 500


def test_true_labels_rank_above_shuffled_ones(found):
    _, rules, graded, labels, document = found
    assert document["labelled"] == len(rules)
    draw, wins, shuffled = random.Random(0), [], []
    every = [index for index, label in sorted(labels.items()) if "detection" in label.scores]
    assert len(every) >= 0.9 * len(rules)
    for index in every:
        asked = graded[index].detection(0)
        true = score_rule(labels[index].detail["rule"], asked, [])["detection"].value
        assert labels[index].scores["detection"].value == true
        for other in draw.sample([each for each in every if each != index], 5):
            score = score_rule(labels[other].detail["rule"], asked, [])["detection"]
            wins.append((true > score.value) + 0.5 * (true == score.value))
            shuffled.append(score.value)
    assert mean(wins) >= 0.95
    assert abs(mean(shuffled) - 0.5) < 0.05


def test_labels_say_what_was_planted(found):
    _, rules, _, labels, _ = found
    texts = {name: labels[index].text for index, name in enumerate(rules)}
    assert mean(word in texts[f"token {word}"] for word in (*NOUNS, *VERBS)) >= 0.95
    assert mean(first in texts[f"bigram {first} {second}"] for first, second in BIGRAMS) >= 0.5
    assert "number" in texts["digits"]
