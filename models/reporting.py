"""What a run shows while it trains: figures and, where asked for, TensorBoard logs."""

import torch

from models.epochs import Dataset, batches
from models.run_folder import HISTORY
from models.training import Trainer
from utils import figures, history
from utils.config import InputError
from utils.paths import make_folder

EXAMPLES = 3  # held-out examples in a figure


class Reporter:
    """Draw the learning curves and some held-out examples every ``plot_epochs``; log every epoch."""

    def __init__(self, valid: Dataset, tensorboard: bool = False):
        self.valid, self.tensorboard, self.writer = valid, tensorboard, None

    def __call__(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Report the epoch that `row` of the history describes."""
        if self.tensorboard:
            self._log(trainer, row)
        every = trainer.model.config.plot_epochs
        if every and trainer.at.epoch % every == 0:
            self.draw(trainer, f"{trainer.at.epoch:06d}")

    def finish(self, trainer: Trainer) -> None:
        """Draw the end of a training."""
        if trainer.model.config.plot_epochs:
            self.draw(trainer, "end")

    def draw(self, trainer: Trainer, when: str) -> None:
        """Write the figures of this moment, called `when`, into the run."""
        folder = make_folder(trainer.run / "figures")
        figures.learning_curves(history.read(trainer.run / HISTORY), folder / "history.pdf")
        figures.translations(self.examples(trainer), folder / f"translations_{when}.pdf")

    @torch.no_grad()
    def examples(self, trainer: Trainer) -> list[dict]:
        """Return held-out examples: modality -> {"original" or "from <source>": an array, or words where there are some}."""
        model = trainer.model.eval()
        batch = next(batches(self.valid, min(EXAMPLES, len(self.valid)), "figure"))
        shown = [{} for _ in range(EXAMPLES)]
        for target, representation in model.representations.items():
            versions = {"original": batch[target]}
            versions |= {f"from {s}": model.transfer(batch[s].to(trainer.device), s, target).cpu() for s in model.representations}
            for name, tensor in versions.items():
                for example, content in zip(shown, representation.text(tensor) or tensor.numpy(), strict=False):
                    example.setdefault(target, {})[name] = content
        model.train()
        return [example for example in shown if example]

    def _log(self, trainer: Trainer, row: dict[str, float]) -> None:
        if self.writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise InputError("--tensorboard 1: the package tensorboard is not installed; pip install tensorboard") from None
            self.writer = SummaryWriter(str(trainer.run / "tensorboard"))
        for name, value in row.items():
            self.writer.add_scalar(name.replace("_", "/", 1), value, trainer.at.step)
        self.writer.flush()
