"""What lies in a run's folder."""

LOCK = ".lock"  # held by the process that trains in it
CONFIG, LAST, BEST, HISTORY, METRICS = "config.json", "last.safetensors", "best.safetensors", "history.csv", "metrics.json"


def numbered(epoch: int) -> str:
    """Return the file name of the state after `epoch` epochs."""
    return f"epoch-{epoch:06d}.safetensors"
