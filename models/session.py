"""One training session, from a configuration to the metrics on the test split."""

import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from models.config import TrainConfig
from models.epochs import Dataset, batches
from models.evaluation import means, observe, passes
from models.reporting import Reporter
from models.restoring import read_weights
from models.run_config import read_run, write_run
from models.run_folder import BEST, CONFIG, HISTORY, LAST, LOCK, METRICS
from models.runs import parameters
from models.systems import SYSTEMS
from models.training import Interrupted, Trainer, check_enough, fit
from utils import device as devices
from utils import history
from utils.checkpoint import load_state, load_weights
from utils.config import InputError
from utils.files import locked, write_json
from utils.paths import make_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """What to do: the system, how to get its configuration, folder and starting state, and for how long."""

    system: str
    configure: Callable[[], tuple[TrainConfig, Path, Path | None]]
    resume: bool = False
    weights_only: bool = False  # of the state to start from: neither its moments nor its counts
    minutes: float = 0.0
    tensorboard: bool = False


@devices.within_memory("take less, as of --batch_size or the width of hidden layers")
def train(session: Session, device_name: str, threads: int) -> int:
    """Train one run and report on its test split; return the exit code.

    Raises
    ------
    InputError : the configuration, the corpus, the state, the folder or the memory will not do, or training diverges.
    """
    ranks, device = devices.join(devices.select(device_name))
    folder: Path | None = None
    devices.set_threads(threads)
    logging.getLogger().setLevel(logging.INFO if ranks.first else logging.ERROR)
    try:
        module = SYSTEMS[session.system].load()
        with ranks.in_turn():
            config, folder, start = session.configure()
            if start:
                parameters(start.parent)  # an InputError where its configuration is damaged
            splits = module.datasets(config)
        check_enough(splits["train"], splits["valid"], config.batch_size, ranks)
        log.info("%s: %s", folder, ", ".join(f"{len(data)} {split} examples" for split, data in splits.items()))
        devices.seed(config.seed, "weights")
        trainer = Trainer(module.Model(config), folder, device, ranks)
        with locked(make_folder(folder) / LOCK, wait=False) if ranks.first else contextlib.nullcontext():
            trainer.model.attach()
            _open(session, trainer, splits, start)
            reporter = Reporter(splits["valid"] if len(splits["valid"]) else splits["train"], session.tensorboard)
            reason = fit(trainer, splits["train"], splits["valid"], session.minutes, reporter)
            log.info("%s: epoch %d, step %d", reason, trainer.at.epoch, trainer.at.step)
            if ranks.first:
                reporter.finish(trainer)
                if len(splits["test"]):
                    print(json.dumps(_test(trainer, splits["test"]), indent=2))
                else:
                    log.warning("nothing is held out to test on, so there are no scores")
    except Interrupted as signal:
        log.info("%s: saved at step %d; go on with --resume %s", signal, trainer.at.step, folder)
        return signal.code
    except BaseException:
        _leave_nothing(folder)
        raise
    finally:
        devices.leave()
    return 0


def _leave_nothing(folder: Path | None) -> None:
    """Remove the folder of a run that could not begin, where nothing of value is in it: no state, and nothing of anybody else's."""
    if folder and folder.is_dir() and {path.name for path in folder.iterdir()} <= {LOCK, CONFIG, HISTORY}:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _open(session: Session, trainer: Trainer, splits: dict[str, Dataset], start: Path | None) -> None:
    """Bring the model to where it starts, and write what a later resume needs.

    Raises
    ------
    InputError : the state is damaged or does not fit, the corpus of a resumed run has changed, or a new run is there already.
    """
    config, folder = trainer.model.config, trainer.run
    if not session.resume and (folder / LAST).exists():  # since it was looked for, as preparing a corpus takes long
        raise InputError(f"{folder}: another process has trained here meanwhile; --resume it, or choose another --name")
    prints = {split: data.fingerprint() for split, data in splits.items()}
    if session.resume and read_run(folder)[2] != prints:
        raise InputError(f"{folder}: its corpus has changed since; start a new run from it with --load {folder}")
    if start is None:
        trainer.model.prepare(batches(splits["train"], 4 * config.batch_size, config.seed, 0))
    elif session.weights_only:
        load_weights(trainer.model, read_weights(start), start)
    else:
        trainer.restore(load_state(start), start)
        if not continues(config, prints, start.parent):
            trainer.renew()
        if not session.resume and trainer.at.epoch >= config.total_epochs:
            raise InputError(
                f"{start}: has {trainer.at.epoch} epochs, and this run would end with {config.total_epochs}: give it more, or "
                "take its weights alone by --load_epoch best"
            )
    trainer.ranks.wait()  # until every rank has read what the first now writes
    if trainer.ranks.first:
        make_folder(folder)
        history.truncate(folder / HISTORY, trainer.at.epoch)
        write_run(folder, session.system, config, prints)
    if not session.resume:
        trainer.save(number=trainer.at.epoch if session.weights_only else None)


def continues(config: TrainConfig, prints: dict[str, str], earlier: Path) -> bool:
    """Tell whether a run of this configuration on these splits would go on just as the run in `earlier` would."""
    _, before, seen = read_run(earlier)
    changed = {f.name for f in fields(config) if getattr(config, f.name) != getattr(before, f.name)}
    return seen == prints and changed <= config.resumable


def _test(trainer: Trainer, dataset: Dataset) -> dict[str, float]:
    """Return the scores of the best weights on the test split, and write them into the run."""
    best = trainer.run / BEST
    if not best.exists():
        log.warning("no epoch counts as the best yet, so these are scores of the last weights of %s", trainer.run)
    else:
        load_weights(trainer.model, read_weights(best), best)
    result = means(observe(trainer.model.eval(), passes(dataset, 1, 0), trainer.device))
    write_json(trainer.run / METRICS, result)
    return result
