"""SAEDashboard on the work of a setting; run by its own environment's Python.

    python saedashboard.py WORK [--found]

Its features come in batches of 256, the library's default. The first batch runs the model and caches its activations
on disk; the second reads them. The second one's time is what each feature costs, and what the first takes longer is
the fixed part. The layout is that of its Neuronpedia runner: whole samples, 20 strongest tokens, 5 intervals of 5.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sae_dashboard.components_config import (
    ActsHistogramConfig,
    Column,
    FeatureTablesConfig,
    LogitsHistogramConfig,
    LogitsTableConfig,
    SequencesConfig,
)
from sae_dashboard.layout import SaeVisLayoutConfig
from sae_dashboard.sae_vis_data import SaeVisConfig, SaeVisData
from sae_dashboard.sae_vis_runner import SaeVisRunner
from sae_lens import SAE, HookedSAETransformer
from setting import Found, Setting, write_times
from transformer_lens import HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_llama_weights
from transformers import AutoModelForCausalLM

BATCH = 256
STRONGEST = 20


def load_model(folder: Path, context: int) -> HookedSAETransformer:
    """The Llama checkpoint in a folder as TransformerLens runs it; its own loader only knows names of the hub."""
    original = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    config = original.config
    width = config.hidden_size // config.num_attention_heads
    model = HookedSAETransformer(
        HookedTransformerConfig(
            d_model=config.hidden_size,
            d_head=width,
            n_heads=config.num_attention_heads,
            n_key_value_heads=config.num_key_value_heads,
            d_mlp=config.intermediate_size,
            n_layers=config.num_hidden_layers,
            n_ctx=context,
            d_vocab=config.vocab_size,
            eps=config.rms_norm_eps,
            act_fn=config.hidden_act,
            gated_mlp=True,
            normalization_type="RMS",
            final_rms=True,
            positional_embedding_type="rotary",
            rotary_dim=width,
            rotary_base=int(config.rope_theta),
            rotary_adjacent_pairs=False,
            original_architecture="LlamaForCausalLM",
            default_prepend_bos=False,
            dtype=torch.float32,
            device="cpu",
        )
    )
    weights = convert_llama_weights(original, model.cfg)
    unchanged = {"center_writing_weights": False, "center_unembed": False, "fold_value_biases": False}
    model.load_and_process_state_dict(weights, fold_ln=False, **unchanged)
    return model.eval()


def configuration(setting: Setting, features: list[int], cache: Path) -> SaeVisConfig:
    """The Neuronpedia runner's configuration, tokens that are not valid left out."""
    sequences = SequencesConfig(
        stack_mode="stack-all",
        buffer=None,
        compute_buffer=True,
        n_quantiles=5,
        top_acts_group_size=STRONGEST,
        quantile_group_size=5,
    )
    parts = [sequences, ActsHistogramConfig(), LogitsHistogramConfig(), LogitsTableConfig()]
    layout = SaeVisLayoutConfig(columns=[Column(*parts, FeatureTablesConfig(n_rows=3))])
    return SaeVisConfig(
        hook_point=f"blocks.{setting.layer}.hook_resid_post",
        features=features,
        minibatch_size_features=BATCH,
        feature_centric_layout=layout,
        ignore_tokens=set(setting.special),
        ignore_positions=[0],
        cache_dir=cache,
        device="cpu",
        dtype="float32",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--found", action="store_true", help="write what was found, too")
    arguments = parser.parse_args()
    setting = Setting.read(arguments.work)
    model = load_model(arguments.work / "model", setting.context)
    sae = SAE.load_from_disk(arguments.work / "saelens", device="cpu")
    tokens = torch.from_numpy(np.load(arguments.work / "tokens.npy").astype(np.int64))
    first = list(setting.features[: min(BATCH, len(setting.features) // 2)])
    second = list(setting.features[len(first) : 2 * len(first)])
    seconds, results = [], []
    with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
        for features in (first, second):
            clock = time.perf_counter()
            result = SaeVisRunner(configuration(setting, features, Path(folder) / "cache")).run(sae, model, tokens)
            result.save_json(Path(folder) / f"{features[0]}.json")
            seconds.append(time.perf_counter() - clock)
            results.append(result)
    fixed = max(seconds[0] - seconds[1], 0.0)
    per_feature = seconds[1] / len(second)
    write_times(arguments.work, "saedashboard", "sae-dashboard", setting, fixed, per_feature, len(first) + len(second))
    if arguments.found:
        read_results(results, setting).write(arguments.work / "found-saedashboard.npz")


def read_results(results: list[SaeVisData], setting: Setting) -> Found:
    """The shown samples, the strongest tokens, and the density, which stands in a title only."""
    told = {feature: data for result in results for feature, data in result.feature_data_dict.items()}
    rows: dict[tuple[int, int], np.ndarray] = {}
    examples = []
    density = np.full(len(setting.features), np.nan)
    for number, feature in enumerate(setting.features):
        if feature not in told:
            continue
        groups = told[feature].sequence_data.seq_group_data
        for group in groups:
            for sequence in group.seq_data:
                row = np.r_[0.0, sequence.feat_acts].astype(np.float32)
                rows[feature, sequence.original_index] = row
        for sequence in groups[0].seq_data:
            at = sequence.qualifying_token_index
            if sequence.feat_acts[at - 1] > 0:
                examples.append((feature, sequence.original_index, at, at + 1))
        title = told[feature].acts_histogram_data.title
        density[number] = float(re.search(r"DENSITY = ([\d.]+)%", title)[1]) if title else 0.0  # a dead one has none
    dense = np.stack(list(rows.values()))
    row, position = np.nonzero(dense)
    shown = np.array(list(rows), dtype=np.int32)
    strongest = np.array(examples, dtype=np.int32)
    columns = dict(
        zip(("example_feature", "example_sample", "example_start", "example_stop"), strongest.T, strict=True)
    )
    return Found(
        row_feature=shown[:, 0],
        row_sample=shown[:, 1],
        value_row=row.astype(np.int32),
        value_position=position.astype(np.int16),
        value=dense[row, position],
        **columns,
        density=density,
        absolute_rounding=5e-5,
        relative_rounding=0.0,
        valid_only=True,
        most_examples=STRONGEST,
    )


if __name__ == "__main__":
    main()
