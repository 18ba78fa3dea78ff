"""Configuration: a dataclass field is a flag is a key of ``config.json``."""


class InputError(Exception):
    """Report what a user can mend: one line that says what was given, what is wrong and what would do.

    The scripts print it on stderr without a traceback and exit with code 2.
    """
