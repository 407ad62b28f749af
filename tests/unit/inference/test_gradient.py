"""Why this place: the streamed gradient of a region's logit is autograd's of the untiled network, in float64."""

import numpy as np
import pytest
import shapely
import torch

from napari_gigaclf.errors import Cancelled, ModelError, RegionError
from napari_gigaclf.geometry import Box
from napari_gigaclf.inference import SmoothGrad, place_gradient, prepare
from napari_gigaclf.inference.gradient import MAX_PIXELS, cap_of
from napari_gigaclf.inference.noise import normal_noise

CELL = 32
HOLED = shapely.box(90, 60, 300, 230).difference(shapely.box(150, 100, 210, 180))


def expected_gradient(model, pixels, mask, kept, class_name, of="answer", noise=None):
    """Return d logit / d pixel (3, y, x) by autograd through the whole image at once."""
    height, width, _ = pixels.shape
    shown = torch.from_numpy(np.kron(mask, np.ones((8, 8), bool))[:height, :width])
    image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255  # float32, as slides are read
    image = (image + (0 if noise is None else torch.from_numpy(noise))).double().requires_grad_()
    features = model.features(torch.where(shown, image, 1.0)[None])[0]
    cells = features[:, torch.from_numpy(kept)].T
    index = model.classes.index(class_name)
    logits = model.cell_logits(cells)
    logit = logits[:, index].sum() if of == "cells" else model.cell_logits(model.pool(cells))[index]
    (gradient,) = torch.autograd.grad(logit, image)
    return gradient.numpy(), float(logit.detach())


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def on_the_slide(found, shape):
    """Return the gradient over the whole slide, zeros where it was not computed."""
    y0, x0 = (round(value) for value in found.grid.origin)
    whole = np.zeros((3, *shape))
    whole[:, y0 : y0 + found.grid.shape[0], x0 : x0 + found.grid.shape[1]] = found.gradient
    return whole


@pytest.fixture
def setting(make_model, slide, tissue):
    def make(**changes):
        model = make_model(**changes).double()
        return model, prepare(slide, model, tissue=tissue, device="cpu", tile=64)

    return make


@pytest.mark.parametrize("of", ["answer", "cells"])
@pytest.mark.parametrize("pooling", ["max", "mean", "attention", "highest"])
def test_it_is_the_gradient_of_the_untiled_network(setting, pixels, mask, pooling, of):
    model, prepared = setting(pooling=pooling)
    kept = prepared.asked(HOLED).cells.whole(prepared.grid.shape) & prepared.tissue_cells
    for class_name in ("normal", "other"):
        found = place_gradient(prepared, HOLED, class_name, of=of)
        expected, logit = expected_gradient(model, pixels, mask, kept, class_name, of)
        assert found.gradient.dtype == np.float64
        assert relative_error(on_the_slide(found, pixels.shape[:2]), expected) < 1e-10
        assert found.logit == pytest.approx(logit, rel=1e-10)
        assert found.num_cells == kept.sum()


def test_of_a_click_nothing_beyond_the_field_has_a_gradient(setting, pixels, mask):
    model, prepared = setting(pooling="max")
    found = place_gradient(prepared, (140.0, 180.0), "tumour")
    ((row, column),) = np.argwhere(prepared.asked((140.0, 180.0)).cells.whole(prepared.grid.shape))
    kept = np.zeros(prepared.grid.shape, dtype=bool)
    kept[row, column] = True
    expected, _ = expected_gradient(model, pixels, mask, kept, "tumour")
    whole = on_the_slide(found, pixels.shape[:2])
    assert relative_error(whole, expected) < 1e-10
    axis = prepared.network.axes[0]
    first_y, first_x = row * axis.stride - axis.before, column * axis.stride - axis.before
    seen = np.zeros(pixels.shape[:2], dtype=bool)
    seen[first_y : first_y + axis.receptive_field, first_x : first_x + axis.receptive_field] = True
    assert np.any(whole[:, seen])
    assert not np.any(whole[:, ~seen])
    assert found.grid.shape[0] <= axis.receptive_field + axis.stride  # no more was even read
    glass = ~np.kron(mask, np.ones((8, 8), bool))[: pixels.shape[0], : pixels.shape[1]]
    assert not np.any(whole[:, glass])


def test_smoothgrad_is_the_mean_over_noisy_copies_of_the_whole_image(setting, pixels, mask):
    model, prepared = setting(pooling="mean")
    smooth = SmoothGrad(noise=0.2, samples=3, seed=7)
    found = place_gradient(prepared, HOLED, "tumour", smooth=smooth)
    kept = prepared.asked(HOLED).cells.whole(prepared.grid.shape) & prepared.tissue_cells
    whole = Box(0, pixels.shape[0], 0, pixels.shape[1])
    single = [
        expected_gradient(model, pixels, mask, kept, "tumour", noise=np.float32(0.2) * normal_noise(7, copy, whole))
        for copy in range(3)
    ]
    expected = np.mean([gradient for gradient, _ in single], axis=0)
    assert relative_error(on_the_slide(found, pixels.shape[:2]), expected) < 1e-10
    assert found.logit == pytest.approx(np.mean([logit for _, logit in single]), rel=1e-10)
    assert relative_error(on_the_slide(found, pixels.shape[:2]), single[0][0]) > 1e-3
    again = place_gradient(prepared, HOLED, "tumour", smooth=smooth)
    assert np.array_equal(found.gradient, again.gradient)
    other = place_gradient(prepared, HOLED, "tumour", smooth=SmoothGrad(noise=0.2, samples=3, seed=8))
    assert not np.array_equal(found.gradient, other.gradient)


def test_noise_is_normal_and_belongs_to_its_place():
    whole = normal_noise(3, 0, Box(0, 300, 0, 400))
    assert np.array_equal(normal_noise(3, 0, Box(50, 133, 61, 200)), whole[:, 50:133, 61:200])
    assert whole.mean() == pytest.approx(0, abs=0.01)
    assert whole.std() == pytest.approx(1, abs=0.01)
    assert (np.abs(whole) < 1.96).mean() == pytest.approx(0.95, abs=0.005)
    for other in (normal_noise(4, 0, Box(0, 300, 0, 400)), normal_noise(3, 1, Box(0, 300, 0, 400))):
        assert abs(np.corrcoef(whole.ravel(), other.ravel())[0, 1]) < 0.01
    assert abs(np.corrcoef(whole[0].ravel(), whole[1].ravel())[0, 1]) < 0.01
    normal_noise(-1, 0, Box(0, 1, 0, 1))  # any seed


def test_signed_and_unsigned(setting):
    _, prepared = setting(pooling="mean")
    found = place_gradient(prepared, HOLED, "tumour")
    assert found.signed() == pytest.approx(found.gradient.sum(axis=0), rel=1e-6, abs=1e-9)
    assert found.unsigned() == pytest.approx(np.abs(found.gradient).max(axis=0), rel=1e-6)
    assert (found.signed() < 0).any()
    magnitudes = found.unsigned()
    assert cap_of(-magnitudes) == pytest.approx(np.percentile(magnitudes[magnitudes > 0], 99))
    assert cap_of(np.zeros(3)) == 1


def test_progress_counts_all_passes_and_cancel_is_heard(setting):
    _, prepared = setting(pooling="mean")
    reports = []
    place_gradient(prepared, HOLED, "tumour", smooth=SmoothGrad(samples=2), progress=reports.append)
    assert [report.done for report in reports] == sorted(report.done for report in reports)
    assert reports[-1].total == 4 * (reports[0].total // 4)
    assert {report.phase for report in reports} == {"gradient"}

    class AfterThree:
        asked = 0

        def is_set(self):
            self.asked += 1
            return self.asked > 3

    with pytest.raises(Cancelled):
        place_gradient(prepared, HOLED, "tumour", cancel=AfterThree())


def test_what_cannot_be_explained(setting, monkeypatch):
    _, prepared = setting(pooling="mean")
    with pytest.raises(ModelError, match="no class 'fat'; it has normal, tumour, other"):
        place_gradient(prepared, HOLED, "fat")
    with pytest.raises(RegionError, match="no tissue"):
        place_gradient(prepared, (5.0, 390.0), "tumour")
    with pytest.raises(RegionError, match="centre of no cell"):
        place_gradient(prepared, shapely.box(100, 100, 101, 101), "tumour")
    monkeypatch.setattr("napari_gigaclf.inference.gradient.MAX_PIXELS", 100)
    with pytest.raises(RegionError, match="choose a smaller region"):
        place_gradient(prepared, HOLED, "tumour")
    assert MAX_PIXELS > 1e7
    for wrong in ({"noise": 0.0}, {"noise": float("nan")}, {"samples": 0}, {"samples": 10**6}):
        with pytest.raises(ValueError, match="noise must be"):
            SmoothGrad(**wrong)
