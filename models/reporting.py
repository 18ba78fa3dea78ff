"""What a run shows while it trains: figures and, where asked for, TensorBoard logs."""

import itertools
import re
from pathlib import Path

import torch

from models import latents
from models.epochs import Dataset, batches, on_device
from models.evaluation import observe
from models.phrase import PHRASE
from models.run_folder import HISTORY
from models.training import Trainer
from utils import analysis_figures, figures, history, phrase_figures
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
        config, folder = trainer.model.config, make_folder(trainer.run / "figures")
        figures.learning_curves(history.read(trainer.run / HISTORY), folder / "history.pdf")
        if config.plot_reconstructions:
            self._draw_examples(trainer, folder / f"translations_{when}.pdf")
        if config.plot_latentspace or config.plot_statistics:
            self._draw_latents(trainer, folder, when)

    def _draw_examples(self, trainer: Trainer, path: Path) -> None:
        """Draw held-out examples beside what is made of them: phrases as they are written, all else as images."""
        examples = self.examples(trainer)
        phrase = trainer.model.representations.get(PHRASE)
        if phrase is None:
            figures.translations(examples, path)
            return
        panels = [(f"{number}, {name}", x) for number, e in enumerate(examples, 1) for name, x in e[PHRASE].items()]
        phrase_figures.phrases([(title, phrase.cells(x), phrase.rows) for title, x in panels], [path], phrase.span, 2)

    def _draw_latents(self, trainer: Trainer, folder: Path, when: str) -> None:
        """Draw latents of held-out examples on their principal axes, and how each class uses each dimension."""
        config, size = trainer.model.config, 4 * trainer.model.config.batch_size
        some = itertools.islice(batches(self.valid, size, "figure"), -(-config.plot_npoints // size))
        seen = observe(trainer.model.eval(), some, trainer.device, translated=False)
        trainer.model.train()
        points, axes = latents.maps(seen, ("pca",), config.seed)["pca"] if config.plot_latentspace else ({}, ())
        rows = latents.chosen(len(seen.group), config.seed)
        for label, facet in seen.labels.items():
            name = re.sub(r"[^\w.+#-]", "_", label)
            if points:
                ids = dict.fromkeys(points, facet.ids[rows].numpy())
                path = folder / f"latents_{name}_{when}.png"
                analysis_figures.latent_map(points, ids, facet.names, label, axes, [path], facet.order)
            for modality, posterior in seen.latents.items() if config.plot_statistics else ():
                path = folder / f"use_{modality}_{name}_{when}.png"
                analysis_figures.class_use(*latents.use_by_class(posterior, facet), facet.names, label, [path])

    @torch.no_grad()
    def examples(self, trainer: Trainer) -> list[dict]:
        """Return held-out examples: modality -> {"original" or "from <source>": an array, or words where there are some}."""
        model = trainer.model.eval()
        batch = next(batches(self.valid, min(EXAMPLES, len(self.valid)), "figure"))
        given = on_device(batch, trainer.device)
        condition = model.condition(given)
        shown = [{} for _ in range(EXAMPLES)]
        for target, representation in model.representations.items():
            versions = {"original": batch[target]}
            sources = [source for source, to in model.translations if to == target]
            versions |= {f"from {s}": model.transfer(given[s], s, target, condition).cpu() for s in sources}
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
