"""Where and how to compute: device, threads, seeds, precision, and the processes of ``torchrun``."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor

from utils.config import InputError

MAX_THREADS = 1024


def named(device: str, cuda: int) -> str:
    """Return the name of a device from the flags ``--device`` and ``--cuda``; the first wins."""
    return device or (f"cuda:{cuda}" if cuda >= 0 else "cpu")


def select(name: str = "cpu") -> torch.device:
    """Return the device called `name`: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for the best available.

    Raises
    ------
    InputError : not such a name, or no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"--device {name}: is no device; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name}: is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices here; use --device auto or cpu")
    return device


def set_threads(number: int) -> None:
    """Compute with `number` threads; 0 leaves torch its choice.

    Raises
    ------
    InputError : far more than there are cores in any machine; torch would crash.
    """
    if number > MAX_THREADS:
        raise InputError(f"--threads {str(number)[:20]}: give {MAX_THREADS} or less, at best as many as there are cores")
    if number:
        torch.set_num_threads(number)


@contextlib.contextmanager
def within_memory(remedy: str) -> Iterator[None]:
    """Do what may need more memory than there is, of the machine or of a GPU.

    Raises
    ------
    InputError : it did; says the `remedy`.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch has no error of its own for the machine's memory
        if not isinstance(error, MemoryError) and not re.search("out of memory|allocate memory|Storage size", str(error)):
            raise
        raise InputError(f"there is not enough memory ({str(error)[:120] or 'none is left'}); {remedy}") from None


def seed(*parts: object) -> None:
    """Seed torch's global generators by `seed_of(*parts)`, as `torch.manual_seed` does, which writes down the stack each time."""
    number = seed_of(*parts)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(number)


def seed_of(*parts: object) -> int:
    """Return a 63-bit seed that is a function of `parts` alone, the same on every machine."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: object) -> torch.Generator:
    """Return a CPU random generator seeded by `seed_of(*parts)`."""
    return torch.Generator().manual_seed(seed_of(*parts))


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return the context of mixed precision: ``fp32`` (none) or ``bf16``."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


@dataclass(frozen=True)
class Ranks:
    """The processes that train together; one alone unless ``torchrun`` started several."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Tell whether this process is the one that writes files."""
        return self.rank == 0

    def add(self, tensor: Tensor) -> Tensor:
        """Sum `tensor` over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def any(self, flag: bool, device: torch.device) -> bool:
        """Tell whether `flag` holds on any process, the same answer on all."""
        return flag if self.size == 1 else bool(self.add(torch.tensor([float(flag)], device=device)).item())

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process do something alone (filling a cache, say), then all others at once."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            distributed.barrier()


def join(device: torch.device) -> tuple[Ranks, torch.device]:
    """Join the process group of ``torchrun`` when there is one; give each process its own CUDA device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Ranks(), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Ranks(distributed.get_rank(), distributed.get_world_size()), device


def leave() -> None:
    """Leave the process group, if one was joined."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
