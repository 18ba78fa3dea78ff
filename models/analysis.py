"""Everything that `lt_analyze.py` finds out about one run on one split of a corpus."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from data.splits import ALL
from models import baselines, composing, constraining, latents, left_out, phrase_examples, phrasing, spaces
from models.base import LatentModel
from models.config import TrainConfig
from models.epochs import Dataset
from models.evaluation import Estimate, Observed, estimates, observe, passes
from models.examples import Example, examples
from models.listening import Listened, listen
from models.phrase import PHRASE, ConstrainedModel, PhraseModel
from models.runs import load_run, origin
from models.score import ScoreModel
from models.systems import SYSTEMS
from utils import device as devices
from utils.config import InputError
from utils.device import generator
from utils.paths import make_folder

log = logging.getLogger(__name__)

FORMAT = 1  # of analysis.json
MODEL = "model"  # the name of the run's own rows among those of baselines
SOUND = "symbol_to_sound"  # the translation whose result is heard


@dataclass(frozen=True)
class Request:
    """What is asked of an analysis."""

    split: str = "test"
    dbroot: str = ""  # another corpus than the run's
    cache: str = ""
    workers: int = 0
    passes: int = 1
    seed: int = 0
    losses: bool = True
    figures: bool = True
    examples: int = 4
    samples: int = 4
    iterations: int = 30
    make: tuple[str, ...] = ()  # baselines to train
    evaluate: tuple[str, ...] = ()  # baselines to evaluate
    epochs: int = 1000  # of training a baseline, at most
    batch_size: int = 64
    projections: tuple[str, ...] = ("pca",)
    weights: str | None = None
    config: str = ""  # preset that a checkpoint of another program is of
    base: str = ""  # where the frozen model that the run stands on is now, if not where it was
    base_preset: str = ""  # what that is, where it is a checkpoint
    space: spaces.Wanted = spaces.Wanted()
    music: composing.Wanted = composing.Wanted()
    phrases: phrasing.Wanted = phrasing.Wanted()


@dataclass
class Analysis:
    """What was found: a part that was not asked for is empty."""

    run: Path
    system: str
    config: TrainConfig
    request: Request
    observed: Observed
    metrics: dict[str, dict[str, dict[str, Estimate]]] = field(default_factory=dict)  # model or baseline -> translation -> metric
    probe: dict[str, dict[str, Estimate]] = field(default_factory=dict)  # modality -> label
    heard: Listened | None = None
    space: spaces.Space | None = None
    music: composing.Music | None = None
    phrases: phrasing.Phrases | None = None
    constraint: constraining.Constraint | None = None
    examples: list[Example] = field(default_factory=list)
    frequencies: np.ndarray | None = None  # Hz, of the bands of their spectra

    def add(self, metrics: Mapping[str, Mapping[str, dict[str, Estimate]]]) -> None:
        """Add sections of metrics by column."""
        for name, sections in metrics.items():
            self.metrics[name] = self.metrics.get(name, {}) | sections

    def json(self) -> dict:
        """Return the numbers as JSON values; docs/analysis.md says what they are."""
        return {
            "format": FORMAT,
            "run": self.run.resolve().name,
            "system": self.system,
            "request": asdict(self.request),
            "examples": len(self.observed.group),
            "bands": None if self.frequencies is None else len(self.frequencies),
            "metrics": self.metrics,
            "latent": latents.summary(self.observed.latents),
            "probe": self.probe,
            "generated": self.heard.json() if self.heard else None,
            "space": self.space.json() if self.space else None,
            "music": self.music.json() if self.music else None,
            "phrases": self.phrases.json() if self.phrases else None,
            "constraint": self.constraint.json() if self.constraint else None,
            "examples_named": [{"of": e.title, "named": e.named} for e in self.examples],
        }


class Analyst:
    """A run, loaded, and what it is analysed on.

    Raises
    ------
    InputError : no such run, or the corpus cannot be read or lacks its instruments.
    """

    def __init__(self, run: Path, request: Request, device: torch.device):
        self.run, self.request, self.device = run, request, device
        base = Path(request.base) if request.base else None
        self.model: LatentModel = load_run(run, device, request.weights, request.config, base, request.base_preset)
        self.system, self.fingerprints = origin(run)
        self.dbroot = request.dbroot or self.model.config.dbroot
        self.dataset: Dataset = self._datasets(self.dbroot, [request.split])[request.split].plain()
        if not len(self.dataset):
            raise InputError(f"{run}: nothing of its corpus is {request.split}; give another corpus with -d, or another --split")

    def _datasets(self, dbroot: str, splits: Sequence[str]) -> dict[str, Dataset]:
        where: dict[str, object] = {"dbroot": dbroot, "workers": self.request.workers}
        if self.request.cache:
            where["cache"] = self.request.cache
        return SYSTEMS[self.system].load().datasets(replace(self.model.config, **where), splits)

    @cached_property
    def home(self) -> dict[str, Dataset]:
        """The splits train and valid that the run itself was trained on.

        Raises
        ------
        InputError : they are not where they were, nor at ``--dbroot``.
        """
        roots = (self.model.config.dbroot, self.dbroot) if self.fingerprints else (self.dbroot,)  # a checkpoint has none of its own
        for dbroot in dict.fromkeys(roots):
            try:
                splits = self._datasets(dbroot, ("train", "valid"))
            except InputError as error:
                log.info("%s", error)
                continue
            if not self.fingerprints or all(self.fingerprints.get(name) == data.fingerprint() for name, data in splits.items()):
                return splits
        where = self.model.config.dbroot or "the embedded corpus"
        raise InputError(f"{self.run}: what it was trained on is not at {where}: bring it, or train no baselines")

    def analyse(self, folder: Path) -> Analysis:
        """Return what was asked for, keeping sounds in ``folder/audio`` and baselines in the run."""
        request = self.request
        self._train_baselines()
        observed = self._observe(self.model)
        found = Analysis(self.run, self.system, self.model.config, request, observed)
        if "signal" in self.model.representations:
            found.frequencies = self.model.representations["signal"].frequencies
        if request.losses:
            found.metrics[MODEL] = estimates(observed, request.seed)
            found.probe, found.heard = self._probe(observed), self._listen(self.model, found.metrics[MODEL])
            found.space = self._explore(observed)
            if found.space and found.space.agreement:
                kind, compared = next(iter(found.space.agreement.compared.items()))
                found.metrics[MODEL][f"latents_to_{Path(kind).stem}"] = compared.scores
        for name in request.evaluate:
            if baseline := self._baseline(name):
                found.metrics[name] = estimates(self._observe(baseline), request.seed)
                self._listen(baseline, found.metrics[name])
        if request.examples and "signal" in self.model.representations:
            passages = self.dataset.passages(request.examples, generator(request.seed, "passages"))
            audio = make_folder(folder / "audio")
            found.examples = list(examples(self.model, passages, request.samples, request.seed, audio, request.iterations))
        if isinstance(self.model, ScoreModel):
            self._make_music(found, folder)
        if isinstance(self.model, PhraseModel):
            self._make_phrases(found, folder)
        return found

    def _make_phrases(self, found: Analysis, folder: Path) -> None:
        """Add to what was found what a model of phrases makes, beside what takes no training."""
        request, found.phrases = self.request, phrasing.Phrases(self.model.representations[PHRASE])
        if request.losses:
            train = self._at_home("no comparison with training")
            found.phrases = phrasing.examine(self.model, found.observed, self.dataset, train, request.phrases, request.seed)
            found.add(found.phrases.metrics)
            if isinstance(self.model, ConstrainedModel):
                self._constrain(found, train)
        if request.examples:
            phrase_examples.add_examples(
                found.phrases, self.model, self.dataset, request.examples, request.seed, make_folder(folder / "audio")
            )
            if found.constraint:
                constraining.add_sounds(found.constraint, self.model, request.examples, folder / "audio")

    def _constrain(self, found: Analysis, train: Dataset | None) -> None:
        """Add to what was found what a model does to the latents of the one that it stands on, and what that one does by itself."""
        request = self.request
        asked = (request.phrases.phrases, request.seed)
        other = request.split in ("valid", "test") or self.dbroot != self.model.config.dbroot
        apart = train if other else None  # else phrases would meet themselves
        found.constraint = constraining.examine(self.model, found.observed, self.dataset, apart, *asked)
        found.add(found.constraint.metrics)
        found.phrases.histograms |= found.constraint.histograms

    def _at_home(self, without: str) -> Dataset | None:
        """Return the run's training split; None where it is gone, which is told in a warning that begins so."""
        try:
            return self.home["train"]
        except InputError as error:
            log.warning("%s: %s", without, error)
            return None

    def _make_music(self, found: Analysis, folder: Path) -> None:
        """Add to what was found how a model of scores explains and makes music, beside what takes no training."""
        request, wanted, found.music = self.request, self.request.music, composing.Music()
        try:
            self._compose(found, folder)
        except InputError as error:
            log.warning("no music: %s", error)
        if request.losses:
            found.metrics[MODEL] |= composing.likelihood(self.model, self.dataset, wanted.draws, request.seed)
            found.metrics[MODEL] |= found.music.metrics
            for name, anchor in self._anchors().items():
                scores = estimates(self._observe(anchor), request.seed)
                found.metrics[name] = scores | composing.likelihood(anchor, self.dataset, wanted.draws, request.seed)

    def _compose(self, found: Analysis, folder: Path) -> None:
        request, wanted = self.request, self.request.music
        if request.losses:
            found.music = composing.generated(self.model, self.dataset, wanted, request.seed)
        if request.examples:
            where = (request.examples, request.seed, make_folder(folder / "audio"))
            found.music.examples = list(composing.examples(self.model, self.dataset, wanted, *where))

    def _anchors(self) -> dict[str, LatentModel]:
        """Return what the model is compared with without training, nothing where the run's own corpus is gone."""
        train = self._at_home("no comparison")
        return {} if train is None else SYSTEMS[self.system].anchors(self.model, passes(train.plain(), 1, self.request.seed))

    def _observe(self, model: LatentModel) -> Observed:
        return observe(model, passes(self.dataset, self.request.passes, self.request.seed), self.device)

    def _listen(self, model: LatentModel, metrics: dict[str, dict[str, Estimate]]) -> Listened | None:
        """Return what is heard of the notes that a model makes from symbols, and add its estimates to `metrics`."""
        if ("symbol", "signal") not in model.translations:
            return None
        symbols = torch.cat([batch["symbol"] for batch in passes(self.dataset, 1, self.request.seed)])
        heard = listen(model, symbols, self.request.iterations)
        if found := heard.estimates(self.request.seed):
            metrics[SOUND] = found
        return heard

    def _explore(self, observed: Observed) -> spaces.Space | None:
        """Return what there is in the space of instruments, and train those without the ratings of one, where asked for."""
        space, wanted = spaces.explore(self.model, observed, self.request.space, self.request.seed), self.request.space
        if space and wanted.leave_one_out:
            where = (self.run, self.fingerprints, self.home, self.dataset)
            space.foretold(left_out.distances(SYSTEMS[self.system], self.model, *where, wanted.leave_one_out), self.request.seed)
        return space

    def _probe(self, observed: Observed) -> dict[str, dict[str, Estimate]]:
        """Return the accuracy of linear probes, nothing where there is nothing to fit them on."""
        train = self._at_home("no linear probe")
        if train is None:
            return {}
        return latents.probe(
            observe(self.model, passes(train.plain(), 1, self.request.seed), self.device, translated=False),
            observed,
            self.request.seed,
        )

    # -- baselines ----------------------------------------------------------------------------------------------------

    @cached_property
    def _networks(self) -> dict[str, LatentModel]:
        """This system's baselines, with seeded weights until they are trained or loaded; none where it has none."""
        request = self.request
        devices.seed(request.seed, "weights")
        shared = {"epochs": request.epochs, "batch_size": request.batch_size, "seed": request.seed, "patience": baselines.PATIENCE}
        return SYSTEMS[self.system].baselines(self.model, **shared, plot_epochs=0, save_epochs=request.epochs + 1)

    def _train_baselines(self) -> None:
        for name in self.request.make:
            if network := self._networks.get(name):
                baselines.train(network, self._record(name), baselines.folder(self.run, name), self.home, self.device)

    def _baseline(self, name: str) -> LatentModel | None:
        """Return a trained baseline, None where the system has no such or it was never trained."""
        network = self._networks.get(name)
        if network is None:
            return None
        try:
            return baselines.load(network, self._record(name), baselines.folder(self.run, name), self.device)
        except InputError as error:
            log.warning("%s", error)
            return None

    def _record(self, name: str) -> dict:
        return baselines.record(name, self.model, self.fingerprints)


def describe(split: str) -> str:
    """Say what an analysis of a split means."""
    return "all splits, training included" if split == ALL else f"the {split} split"
