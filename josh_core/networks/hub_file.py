"""Finding a weight file: a local path, or a Hub id whose file is fetched once and kept in the Hub's own cache."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from josh_core.errors import WeightsError
from josh_core.progress import Progress

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
_DEFAULT_FILE = "model.safetensors"
_HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+))?(?:@(?P<revision>[\w./-]+))?")


class HubFile:
    """A file in a Hub repository, written owner/name[/file][@revision]; the file is model.safetensors if not given."""

    def __init__(self, text: str, revision: str | None = None) -> None:
        """Raises WeightsError when the text is no Hub id."""
        found = _HUB_ID.fullmatch(text)
        if not found:
            raise WeightsError(f"There is no weight file at {text!r}, and it is no Hub id (owner/name) either.")
        self.repo: str = found["repo"]
        self.file: str = found["file"] or _DEFAULT_FILE
        self.revision: str | None = revision or found["revision"]

    def cached(self) -> Path | None:
        """The file if it is on this machine; asks no network."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, self.file, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def fetch(self, progress: Progress | None = None) -> Path:
        """The file, from the cache or from the Hub. Raises WeightsError with what to do.

        An interrupted download goes on where it stopped; the token is HF_TOKEN's. Without a revision the first
        download decides: what is in the cache is used until a revision is asked for.
        """
        from huggingface_hub import errors, hf_hub_download

        here = self.cached()
        if here is not None:
            return here
        wanted = f"{self.file} of {self.repo}" + (f" at {self.revision}" if self.revision else "")
        extra: dict[str, Any] = {"tqdm_class": _reporting_bar(progress)} if progress else {}
        try:
            return Path(hf_hub_download(self.repo, self.file, revision=self.revision, **extra))
        except errors.GatedRepoError as error:
            advice = f"accept its terms at https://huggingface.co/{self.repo} and set HF_TOKEN"
            raise WeightsError(f"{wanted} is gated: {advice}.") from error
        except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
            raise WeightsError(f"The Hub has no {self.repo} that this HF_TOKEN may see; check the id.") from error
        except errors.RevisionNotFoundError as error:
            raise WeightsError(f"{self.repo} has no revision {self.revision}; check the part after @.") from error
        except errors.LocalEntryNotFoundError as error:
            raise WeightsError(
                f"{wanted} is not on this machine and the Hub cannot be reached; go online once."
            ) from error
        except errors.EntryNotFoundError as error:
            raise WeightsError(f"{self.repo} has no file {self.file}; name it as owner/name/file.") from error
        except (errors.HfHubHTTPError, errors.OfflineModeIsEnabled, OSError) as error:
            raise WeightsError(f"{wanted} could not be fetched from the Hub: {_first_line(error)}") from error

    def label(self, path: Path) -> str:
        """Id with the revision that `path` in the cache belongs to."""
        parts = path.parts
        commit = parts[parts.index("snapshots") + 1] if "snapshots" in parts else self.revision
        return f"{self.repo}/{self.file}" + (f"@{commit}" if commit else "")


def locate(source: str, revision: str | None = None, progress: Progress | None = None) -> tuple[Path, str]:
    """The weight file of a local path or Hub id, and its label. Raises WeightsError."""
    path = local_path(source)
    if path is not None:
        if not path.is_file():
            raise WeightsError(f"There is no weight file {path.name} at the place given; check the path.")
        return path, path.name
    file = HubFile(source, revision)
    path = file.fetch(progress)
    return path, file.label(path)


def local_path(source: str) -> Path | None:
    """The path that `source` means, or None when it reads as a Hub id."""
    path = Path(source).expanduser()
    looks_local = path.is_absolute() or source.startswith(".") or (len(path.parts) < 3 and path.suffix in _SUFFIXES)
    return path if path.exists() or looks_local else None


def _reporting_bar(progress: Progress) -> type:
    """A download bar that also tells `progress`."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            if self.disable:  # a silent bar does not count by itself
                self.n += n or 0
            if self.total:
                progress.update(self.n / self.total)
            return shown

    return Bar


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
