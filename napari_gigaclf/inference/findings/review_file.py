"""Keeps verdicts in the user's own folder, one JSON file per slide and model: whole or not at all, read without trust.

Slides may lie where nothing can be written, so the file does not lie beside the slide: its name is a digest of the
slide's fingerprint and the model's, and it is found again wherever the slide is moved to.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from napari_gigaclf.errors import ResultError
from napari_gigaclf.inference.findings.reviews import MAX_REVIEWS, ReaderCall, Review, ReviewKey, ReviewLog
from napari_gigaclf.inference.own_file import OwnFile
from napari_gigaclf.inference.stored_array import read_json
from napari_gigaclf.models.records import ConfigError, parse

FORMAT = "napari-gigaclf reviews 1"
MAX_BYTES = 1 << 26
REMEDY = "; move it away to begin anew, or keep it and install the version that wrote it"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewJson:
    """What stands in the file."""

    format: str
    key: ReviewKey
    slide_name: str
    call: ReaderCall | None
    reviews: tuple[Review, ...]


def reviews_folder() -> Path:
    """Return the folder where this user's verdicts are kept on this machine."""
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-gigaclf")) / "reviews"


def review_path(folder: Path, key: ReviewKey) -> Path:
    """Return where the verdicts about a slide and a model are kept."""
    name = "\n".join((key.slide_id, key.model, key.version, key.sha256))
    return folder / f"{sha256(name.encode()).hexdigest()[:40]}.json"


class ReviewStore:
    """The file of one slide and model, as this program last saw it; for one thread at a time.

    Parameters
    ----------
    folder
        Where the verdicts are kept.
    key
        What they are about.
    """

    def __init__(self, folder: Path, key: ReviewKey) -> None:
        self.key = key
        self.path = review_path(folder, key)
        self._file = OwnFile(
            self.path,
            "another window has changed the verdicts on this slide; what is said here is not saved: close one of the "
            "two, and open the slide again",
        )

    def load(self) -> ReviewLog:
        """Return what was said before; an empty log where nothing was.

        Raises
        ------
        ResultError
            The file is damaged, too large, of another version, or speaks of something else.
        """
        return read_log(self.path, self.key) if self._file.look() else ReviewLog(key=self.key)

    def save(self, log: ReviewLog) -> None:
        """Write a log in place of the one that was there.

        Raises
        ------
        OutputError
            The folder cannot be written to, or another program has written there since.
        """
        self._file.write(
            ReviewJson(format=FORMAT, key=log.key, slide_name=log.slide_name[:1000], call=log.call, reviews=log.reviews)
        )


def count_judged(path: Path) -> tuple[str, int]:
    """Return the fingerprint of the slide that a file of verdicts is about, and how many places have a verdict.

    Raises
    ------
    ResultError
        The file cannot be read; see ``ReviewStore.load``.
    """
    log = read_log(path)
    classes = {review.class_name for review in log.reviews}
    judged = sum(review.verdict != "open" for name in classes for review in log.current(name))
    return log.key.slide_id, judged


def read_log(path: Path, key: ReviewKey | None = None) -> ReviewLog:
    """Read a file of verdicts about a slide and model (any without ``key``); see ``ReviewStore.load``."""
    raw = read_json(path, MAX_BYTES)
    if raw.get("format") != FORMAT:
        raise ResultError(f"{path}: format {str(raw.get('format'))[:60]!r}; this version reads {FORMAT!r}{REMEDY}")
    reviews = raw.get("reviews")
    if isinstance(reviews, list) and len(reviews) > MAX_REVIEWS:
        raise ResultError(f"{path}: {len(reviews)} verdicts, more than the {MAX_REVIEWS} that are read{REMEDY}")
    try:
        found = parse(ReviewJson, raw, path.name)
    except ConfigError as error:
        raise ResultError(f"{path}: these verdicts cannot be read: {error}{REMEDY}") from error
    assert isinstance(found, ReviewJson)
    if key is not None and found.key != key:
        raise ResultError(f"{path}: speaks of another slide or model{REMEDY}")
    return ReviewLog(key=found.key, slide_name=found.slide_name, reviews=found.reviews, call=found.call)
