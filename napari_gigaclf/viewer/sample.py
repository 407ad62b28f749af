"""Sample slides under File > Open Sample: computed phantoms whose tumour is known exactly. They return as others do."""

from napari_gigaclf.viewer.layers import Frame, LayerData, truth_layer
from napari_gigaclf.viewer.preferences import load_preferences
from napari_gigaclf.viewer.reader import let_return, off_the_gui_thread, open_layers, open_path, window_viewer

LARGE_SIDE = 100_000
LARGE_SEED = 7


def sample_slide() -> list[LayerData]:
    """Return the bundled slide and the outline of its tumour; in a window it is shown as it was left."""
    returning = window_viewer() is not None and load_preferences().return_slides
    layers = off_the_gui_thread(lambda: sample_layers(returning=returning))
    let_return(layers)
    return layers


def large_phantom() -> list[LayerData]:
    """Return a slide of 100 000 x 100 000 pixels; nothing of it is stored, pixels are computed where one looks."""
    layers = off_the_gui_thread(large_layers)
    let_return(layers)
    return layers


def sample_layers(*, returning: bool = False) -> list[LayerData]:
    """Open the bundled slide, with the scale that a person gave it the last time if it is to return."""
    from napari_gigaclf.annotations import read_geojson
    from napari_gigaclf.slides.sample import sample_path

    layers = open_path(sample_path("phantom-tumour.ome.tif"), returning=returning).layers
    truth = read_geojson(sample_path("phantom-tumour.geojson"))
    return [*layers, truth_layer(truth, Frame.of_slide(layers[0][1]["metadata"]["slide"]))]


def large_layers() -> list[LayerData]:
    """Open the large phantom."""
    from napari_gigaclf.slides.phantom import PhantomSlide

    return open_layers(PhantomSlide(seed=LARGE_SEED, shape=(LARGE_SIDE, LARGE_SIDE)))
