"""delphi on the work of a setting; run by its own environment's Python.

    python delphi_cache.py WORK [--found]

Two steps, as delphi does them: the cache of all features' activations, written to disk, is the fixed part; examples
are then made feature by feature. A feature needs 200 windows to be looked at unless told otherwise; here one is
enough, or most features would be passed over at this number of samples.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from delphi.config import CacheConfig, ConstructorConfig, SamplerConfig
from delphi.latents import LatentCache, LatentDataset, LatentRecord
from delphi.latents.loader import TensorBuffer
from delphi.sparse_coders.load_sparsify import load_sparsify_hooks
from setting import Found, Setting, write_times
from transformers import AutoModel, AutoTokenizer

BATCH = 32
WINDOW = 32


def cache_latents(model: torch.nn.Module, work: Path, setting: Setting, tokens: torch.Tensor, folder: Path) -> str:
    """Fill delphi's cache; the module's name in it."""
    encoders, transcode = load_sparsify_hooks(model, str(work / "sparsify"), [f"layers.{setting.layer}"])
    cache = LatentCache(model, encoders, batch_size=BATCH, transcode=transcode)
    cache.run(tokens.numel(), tokens)
    cache.save_splits(n_splits=5, save_dir=folder)
    config = CacheConfig(batch_size=BATCH, cache_ctx_len=setting.context, n_tokens=tokens.numel())
    cache.save_config(folder, config, setting.model)
    return next(iter(encoders))


def latents(folder: Path, module: str, setting: Setting, tokenizer: object) -> LatentDataset:
    """The setting's features, with delphi's own defaults but for the number of windows a feature must have."""
    return LatentDataset(
        raw_dir=folder,
        sampler_cfg=SamplerConfig(),
        constructor_cfg=ConstructorConfig(example_ctx_len=WINDOW, min_examples=1),
        tokenizer=tokenizer,
        modules=[module],
        latents={module: torch.tensor(sorted(setting.features))},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--found", action="store_true", help="write what was found, too")
    arguments = parser.parse_args()
    work = arguments.work
    setting = Setting.read(work)
    model = AutoModel.from_pretrained(work / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(work / "model")
    tokens = torch.from_numpy(np.load(work / "tokens.npy").astype(np.int64))
    with tempfile.TemporaryDirectory(dir=work) as folder:
        clock = time.perf_counter()
        module = cache_latents(model, work, setting, tokens, Path(folder))
        fixed = time.perf_counter() - clock
        clock = time.perf_counter()
        dataset = latents(Path(folder), module, setting, tokenizer)
        records = list(dataset)
        per_feature = (time.perf_counter() - clock) / len(setting.features)
        write_times(work, "delphi", "eai-delphi", setting, fixed, per_feature, len(setting.features))
        if arguments.found:
            read_results(dataset, records, tokens.numpy(), setting).write(work / "found-delphi.npz")


def read_results(dataset: LatentDataset, records: list[LatentRecord], tokens: np.ndarray, setting: Setting) -> Found:
    """Every activation in the cache, and every window as an example."""
    locations, activations = (torch.cat(parts).numpy() for parts in zip(*map(load, dataset.buffers), strict=True))
    features = np.array(sorted(setting.features))
    row = np.searchsorted(features, locations[:, 2]) * setting.samples + locations[:, 0]
    dense = np.zeros((len(features) * setting.samples, setting.context), dtype=activations.dtype)
    dense[row, locations[:, 1]] = activations
    columns = examples(records, tokens, features, dense)
    return Found(
        row_feature=features.repeat(setting.samples).astype(np.int32),
        row_sample=np.tile(np.arange(setting.samples, dtype=np.int32), len(features)),
        value_row=row.astype(np.int32),
        value_position=locations[:, 1].astype(np.int16),
        value=activations.astype(np.float32),
        **columns,
        density=np.full(len(setting.features), np.nan),
        absolute_rounding=0.0,
        relative_rounding=2.0**-11,
        valid_only=False,
        most_examples=0,
    )


def load(buffer: TensorBuffer) -> tuple[torch.Tensor, torch.Tensor]:
    """Locations [n, 3] of (sample, position, feature) and activations [n] of one part of the cache."""
    locations, activations, _ = buffer.load()
    return locations, activations


def examples(
    records: list[LatentRecord], tokens: np.ndarray, features: np.ndarray, dense: np.ndarray
) -> dict[str, np.ndarray]:
    """Where every window lies, strongest first.

    delphi's examples say no place: it is found by their tokens and, where these occur more than once, activations.
    `dense` [features * samples, positions] holds the cache.
    """
    places: dict[bytes, list[int]] = {}
    for number, window in enumerate(tokens.astype(np.int64).reshape(-1, WINDOW)):
        places.setdefault(window.tobytes(), []).append(number)
    samples, each = len(tokens), tokens.shape[1] // WINDOW
    found = []
    for record in records:
        first = int(np.searchsorted(features, record.latent.latent_index)) * samples
        windows = dense[first : first + samples].reshape(-1, WINDOW)
        used: set[int] = set()
        for example in record.examples:
            wanted = example.activations.numpy()
            candidates = places[example.tokens.numpy().tobytes()]
            number = next(n for n in candidates if n not in used and np.array_equal(windows[n], wanted))
            used.add(number)
            start = number % each * WINDOW
            found.append((record.latent.latent_index, number // each, start, start + WINDOW))
    names = ("example_feature", "example_sample", "example_start", "example_stop")
    return dict(zip(names, np.array(found, dtype=np.int32).T, strict=True))


if __name__ == "__main__":
    main()
