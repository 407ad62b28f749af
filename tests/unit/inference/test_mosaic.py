"""A cell of the map says of its field what the tile classifier says of that field alone: the meaning of a cell."""

import numpy as np
import torch

from napari_gigaclf.inference import classify
from napari_gigaclf.models import load_model
from napari_gigaclf.slides import open_slide
from napari_gigaclf.slides.phantom import PhantomSlide
from napari_gigaclf.training.builtin.loop import tile_network

SIDE = 96
GRID = 4


def test_cells_of_a_mosaic_equal_its_tiles() -> None:
    model = load_model("phantom-tumour")
    with PhantomSlide(7, (1500, 1500), 1.0) as phantom:
        field = phantom.read(0, 500, 500 + GRID * SIDE, 500, 500 + GRID * SIDE)
    tiles = field.reshape(GRID, SIDE, GRID, SIDE, 3).transpose(0, 2, 1, 3, 4)
    mosaic = np.ascontiguousarray(tiles[::-1, ::-1].transpose(0, 2, 1, 3, 4)).reshape(GRID * SIDE, GRID * SIDE, 3)
    prediction = classify(open_slide(mosaic, um_per_px=1.0), model, tissue=False, saliency=None, tile=128)
    images = torch.from_numpy(np.ascontiguousarray(tiles[::-1, ::-1].reshape(-1, SIDE, SIDE, 3))).permute(0, 3, 1, 2)
    with torch.no_grad():
        alone = model.probabilities(tile_network(model)(images.float() / 255)).numpy()
    cells = np.asarray(prediction.probability_map)[:, 1::3, 1::3].reshape(2, -1).T
    assert np.ptp(alone[:, 1]) > 0.01  # the tiles differ, so that a shifted map would show
    np.testing.assert_allclose(cells, alone, atol=1e-4)
