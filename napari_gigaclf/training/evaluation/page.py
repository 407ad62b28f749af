"""The report as one page of HTML that needs nothing else: pictures are inside, there is no script and no link."""

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence

from napari_gigaclf.training.evaluation.evaluation import Evaluation, question_name
from napari_gigaclf.training.evaluation.intervals import Interval
from napari_gigaclf.training.evaluation.predictions import Predictions

MAX_LISTED = 2000
"""Slides in the table of the page; ``predictions.csv`` has all."""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #ddd; text-align: left; }
img { max-width: 30rem; width: 100%; }
.note { background: #fff4d6; padding: .5rem .8rem; }
"""


def report_page(
    evaluation: Evaluation,
    predictions: Predictions,
    *,
    about: Mapping[str, str],
    failures: Sequence[tuple[str, str]],
    plots: Mapping[str, bytes],
) -> str:
    """Return the page.

    Parameters
    ----------
    evaluation, predictions
        What is reported.
    about
        What ran, on what: names and values for a person.
    failures
        (slide, reason) of slides that could not be classified.
    plots
        PNG by name.
    """
    body = [
        "<h1>Evaluation</h1>",
        *_failed(failures),
        *(f'<p class="note">{_text(note)}</p>' for note in evaluation.notes),
        _table([], [(_text(name), _text(value)) for name, value in {**about, **_size(evaluation)}.items()]),
        "<h2>Figures</h2>",
        "<p>With 95 % intervals of a bootstrap over patients.</p>",
        _table(["figure", "value", "95 % interval"], _figures(evaluation, evaluation.figures)),
        *_comparison(evaluation),
        *_tuned(evaluation),
        *(f'<img alt="{_text(name)}" src="data:image/png;base64,{_base64(png)}">' for name, png in plots.items()),
        *_slides(predictions),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>Evaluation</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _size(evaluation: Evaluation) -> dict[str, str]:
    return {
        "slides": str(evaluation.num_slides),
        "patients": str(evaluation.num_groups),
        "draws": f"{evaluation.draws}, seed {evaluation.seed}",
    }


def _failed(failures: Sequence[tuple[str, str]]) -> list[str]:
    if not failures:
        return []
    rows = [(_text(slide), _text(reason)) for slide, reason in failures]
    head = f'<p class="note">{len(failures)} slides could not be classified and are in none of the figures.</p>'
    return [head, _table(["slide", "reason"], rows)]


def _figures(evaluation: Evaluation, figures: Mapping[str, Interval]) -> list[tuple[str, ...]]:
    return [
        (_text(question_name(name, evaluation.classes)), _number(found.value), _range(found))
        for name, found in figures.items()
    ]


def _comparison(evaluation: Evaluation) -> list[str]:
    if not evaluation.comparison:
        return []
    rows = [
        (
            _text(question_name(name, evaluation.classes)),
            *map(_number, (test.first, test.second, test.difference)),
            _number(test.p, 4),
            _number(test.p_holm, 4),
        )
        for name, test in evaluation.comparison.items()
    ]
    return [
        "<h2>Comparison</h2>",
        "<p>Paired permutation test on the same slides, two-sided; Holm: corrected for all figures in the table.</p>",
        _table(["figure", "this model", "the other", "difference", "p", "p (Holm)"], rows),
    ]


def _tuned(evaluation: Evaluation) -> list[str]:
    parts: list[str] = []
    if evaluation.temperature is not None:
        found = f"<p>Temperature {evaluation.temperature:.3f}, found on the tune slides. At that temperature:</p>"
        rows = _figures(evaluation, evaluation.calibrated)
        parts += ["<h2>Calibration</h2>", found, _table(["figure", "value", "95 % interval"], rows)]
    if evaluation.operating_points:
        rows = [
            (
                _text(question_name(key, evaluation.classes)),
                _text(point.rule),
                _number(point.threshold),
                f"{_number(point.sensitivity.value)} {_range(point.sensitivity)}",
                f"{_number(point.specificity.value)} {_range(point.specificity)}",
            )
            for key, point in evaluation.operating_points.items()
        ]
        head = ["question", "chosen by", "threshold", "sensitivity", "specificity"]
        parts += ["<h2>Operating points</h2>", "<p>Exact binomial 95 % intervals.</p>", _table(head, rows)]
    return parts


def _slides(predictions: Predictions) -> list[str]:
    names = list(predictions.classes) or ["predicted"]
    truth = predictions.truth_text
    rows = []
    for place in range(min(len(predictions), MAX_LISTED)):
        values = predictions.values[place : place + 1].reshape(-1).tolist()
        known = (predictions.slides[place], predictions.groups[place], truth[place])
        rows.append((*map(_text, known), *map(_number, values)))
    more = len(predictions) - len(rows)
    note = [f"<p>{more} more in predictions.csv.</p>"] if more > 0 else []
    return ["<h2>Slides</h2>", _table(["slide", "patient", "truth", *map(_text, names)], rows), *note]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are HTML already."""
    top = "<tr>" + "".join(f"<th>{name}</th>" for name in head) + "</tr>\n" if head else ""
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n{top}{body}\n</table>"


def _text(value: str) -> str:
    """Return a text as HTML; names of files may hold anything."""
    return html.escape("".join(c if c.isprintable() else " " for c in value))


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "not defined"


def _range(found: Interval) -> str:
    return f"[{found.low:.3f}, {found.high:.3f}]" if math.isfinite(found.low) else ""


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
