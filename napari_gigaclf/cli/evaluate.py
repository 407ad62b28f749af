"""``evaluate``: classify the slides of a table whose truth is known, and report how good the model is on them.

A slide that fails is listed in the report and the others are evaluated; the exit code is then 1. While slides are
classified, what is known so far is kept as ``predictions.partial.csv``; the report replaces it at the end.
"""

import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_gigaclf import __version__
from napari_gigaclf.annotations.table import write_table
from napari_gigaclf.cli.bar import progress_bar
from napari_gigaclf.cli.configs import Config, EvaluateConfig
from napari_gigaclf.cli.interrupt import interruptible
from napari_gigaclf.cli.say import note, one_line, say, say_error, say_json, table
from napari_gigaclf.errors import Cancelled, CohortError, GigaclfError, OutputError
from napari_gigaclf.progress import CancelToken
from napari_gigaclf.training.cohort import Cohort, CohortRow, check_cohort
from napari_gigaclf.training.evaluation import (
    Evaluation,
    Failure,
    Predictions,
    evaluate,
    predictions_of,
    write_report,
)
from napari_gigaclf.training.evaluation.evaluation import question_name
from napari_gigaclf.training.evaluation.plots import check_libraries
from napari_gigaclf.training.evaluation.report import PAGE_NAME, PARTIAL_NAME, check_free, report_json
from napari_gigaclf.writing import check_writable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_gigaclf.models import Classifier

FAILED = 1
STOPPED = 130
NEVER_OPENED = "missing-file"
"""Kind of problem that concerns one slide, not the table: it fails like any slide that cannot be read."""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A run over the slides of a cohort: what is the same for all of them, and what came out so far."""

    config: EvaluateConfig
    models: "tuple[Classifier, ...]"
    """The model, and perhaps the one to compare it with."""
    measured: Cohort
    """Slides to measure on."""
    tuned: Cohort
    """Slides to choose a temperature and thresholds on; perhaps none."""
    answers: "list[dict[int, NDArray[np.float64]]]" = field(default_factory=list)
    """Per model, by row: its probabilities."""
    failures: list[Failure] = field(default_factory=list)


def run(config: Config) -> int:
    """Evaluate a model; return the exit code."""
    assert isinstance(config, EvaluateConfig)
    check_libraries()
    check_free(config.output, overwrite=config.overwrite)
    batch = _prepared(config)
    check_writable(config.output)
    with interruptible() as stop:
        for row in (*batch.tuned.rows, *batch.measured.rows):
            if stop.is_set():
                break
            _one(batch, row, stop)
        stopped = stop.is_set()
    if stopped:
        num_slides = len(batch.measured) + len(batch.tuned)
        note(f"stopped after {len(batch.answers[0])} of {num_slides} slides: {config.output / PARTIAL_NAME}")
        return STOPPED
    _report(batch)
    return FAILED if batch.failures else 0


def _prepared(config: EvaluateConfig) -> _Batch:
    """Load the models, read the table, and find out everything that is wrong before any work."""
    from napari_gigaclf.inference import find_device
    from napari_gigaclf.models import load_model
    from napari_gigaclf.training.evaluation.slides import check_fit

    find_device(config.device)
    models = tuple(load_model(name) for name in (config.model, config.compare) if name is not None)
    cohort = _cohort(config, models[0])
    for model in models:
        check_fit(cohort, model)
    measured = cohort if config.split == "all" else cohort.of_split(config.split)
    tuned = cohort.with_rows(()) if config.tune_split is None else cohort.of_split(config.tune_split)
    if config.tune_split == config.split or (tuned.rows and config.split == "all"):
        raise CohortError("what is chosen on slides cannot be measured on them: give another --split or --tune-split")
    for name, part in ((config.split, measured), (config.tune_split, tuned)):
        if name is not None and not part.rows:
            raise CohortError(f"{config.cohort}: no slide is in split {name!r} (--split all takes every slide)")
    return _Batch(config=config, models=models, measured=measured, tuned=tuned, answers=[{} for _ in models])


def _cohort(config: EvaluateConfig, model: "Classifier") -> Cohort:
    """Read and check the table; all that is wrong with it is shown."""
    report = check_cohort(config.cohort, classes=model.classes, open_slides=False)
    if report.cohort is not None and report.cohort.task == "classification" and model.activation == "sigmoid":
        report = check_cohort(config.cohort, task="multilabel", classes=model.classes, open_slides=False)
    errors = [problem for problem in report.errors if problem.kind != NEVER_OPENED]
    for problem in (*errors, *report.warnings):
        note(f"{config.cohort.name}: {problem}")
    if errors or report.cohort is None:
        raise CohortError(f"{config.cohort}: {len(errors)} errors in the table, listed above; nothing was run")
    return report.cohort


def _one(batch: _Batch, row: CohortRow, stop: CancelToken) -> None:
    """Classify one slide with each model, or say why not."""
    try:
        found = [_answer(batch, model, row, stop) for model in batch.models]
    except (OutputError, BrokenPipeError):
        raise  # the next slide could not be written either, or nobody reads what we say
    except Cancelled:
        return
    except (GigaclfError, OSError, MemoryError) as error:
        _failed(batch, row, str(error) or type(error).__name__)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this slide must not cost the results of the others
        _failed(batch, row, f"unexpected {type(error).__name__}: {error} (--debug shows where)")
    else:
        for answers, values in zip(batch.answers, found, strict=True):
            answers[row.number] = values
        _write_partial(batch)


def _answer(batch: _Batch, model: "Classifier", row: CohortRow, stop: CancelToken) -> "NDArray[np.float64]":
    from napari_gigaclf.training.evaluation.slides import predict_slide

    config = batch.config
    with progress_bar(row.slide.name) as progress:
        return predict_slide(
            row,
            model,
            batch.measured.classes,
            device=config.device,
            memory=config.memory,
            progress=progress,
            cancel=stop,
        )


def _failed(batch: _Batch, row: CohortRow, reason: str) -> None:
    if batch.config.debug:
        traceback.print_exc()
    text = one_line(reason if row.slide.name in reason else f"{row.slide}: {reason}")
    say_error(f"row {row.number}: {text}")
    batch.failures.append(Failure(slide=row.name, row=row.number, reason=text))


def _write_partial(batch: _Batch) -> None:
    """Write the answers so far, so that a run which is stopped has not been for nothing."""
    names = batch.measured.classes or ("predicted",)
    rows = [
        [model.name, row.split, row.name, row.group, *answers[row.number].tolist()]
        for model, answers in zip(batch.models, batch.answers, strict=True)
        for row in (*batch.tuned.rows, *batch.measured.rows)
        if row.number in answers
    ]
    path = batch.config.output / PARTIAL_NAME
    write_table(path, ["model", "split", "slide", "group", *(f"prob_{name}" for name in names)], rows)


def _report(batch: _Batch) -> None:
    config = batch.config
    predictions = predictions_of(batch.measured, batch.answers[0])
    tune = predictions_of(batch.tuned, batch.answers[0]) if batch.tuned.rows else None
    other = predictions_of(batch.measured, batch.answers[1]) if config.compare is not None else None
    if not len(predictions):
        raise CohortError(f"{config.cohort}: none of {len(batch.measured)} slides could be classified")
    evaluation = evaluate(
        predictions, tune=tune, other=other, sensitivity=config.sensitivity, draws=config.draws, seed=config.seed
    )
    about = _about(batch)
    write_report(
        config.output,
        evaluation,
        predictions,
        tune=tune,
        other=other,
        about=about,
        failures=batch.failures,
        overwrite=True,  # asked before; since then it holds what is partial
    )
    if config.json:
        say_json(report_json(evaluation, about=about, failures=batch.failures))
    else:
        _say(batch, evaluation, predictions)


def _about(batch: _Batch) -> dict[str, str]:
    """Return what ran, on what, for a person."""
    config = batch.config
    models = {"model": batch.models[0]} | ({"compared with": batch.models[1]} if len(batch.models) > 1 else {})
    return {
        **{role: f"{model.name} {model.version}, sha256 {model.sha256 or 'unknown'}" for role, model in models.items()},
        "cohort": f"{config.cohort.name}, sha256 {batch.measured.sha256}",
        "split": config.split + ("" if config.tune_split is None else f", chosen on {config.tune_split}"),
        "napari-gigaclf": __version__,
        "use": batch.models[0].card.research_use_only,
    }


def _say(batch: _Batch, evaluation: Evaluation, predictions: Predictions) -> None:
    failed = f", {len(batch.failures)} failed" if batch.failures else ""
    say(f"{batch.models[0].name} on {len(predictions)} slides of {evaluation.num_groups} patients{failed}")
    rows = [(question_name(name, evaluation.classes), str(found)) for name, found in evaluation.figures.items()]
    say(table(rows, indent="  "))
    for name, test in evaluation.comparison.items():
        difference = f"{test.difference:+.3f}, p {test.p:.4f} (Holm {test.p_holm:.4f})"
        say(f"  {question_name(name, evaluation.classes)} less that of {batch.models[1].name}: {difference}")
    for text in evaluation.notes:
        note(text)
    say(str(batch.config.output / PAGE_NAME))
    note(batch.models[0].card.research_use_only)
