"""Exceptions of the package. Each message is one sentence for the user that says what to do next."""


class JoshError(Exception):
    """Base of every error that a user can cause or mend."""


class ClipError(JoshError):
    """The clip cannot be used: not a video, too short, too long, too large, nobody in it."""


class SettingsError(JoshError):
    """An option is unknown or out of its range."""


class WeightsError(JoshError):
    """A weight file is missing, gated, or does not hold the keys and shapes that the network needs."""


class ReconstructionError(JoshError):
    """A stage could not produce a usable result from this clip."""


class ResultError(JoshError):
    """A stored result is missing, incomplete, of another version, or its id is not valid."""


class JobError(JoshError):
    """A job cannot be taken on (the line is full), or its process ended before it was done."""


class Cancelled(JoshError):
    """The user stopped the job; nothing was kept."""


class DeployError(JoshError):
    """The page cannot be put up."""
