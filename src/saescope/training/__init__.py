"""Training an SAE: a loop over any iterator of batches that yields steps."""

from .checkpoints import Checkpoint, Checkpoints
from .evaluation import ce_recovered
from .shuffle import ShuffledActivations
from .trainer import Trainer, train

__all__ = ["Checkpoint", "Checkpoints", "ShuffledActivations", "Trainer", "ce_recovered", "train"]
