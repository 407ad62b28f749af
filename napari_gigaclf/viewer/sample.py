"""Sample slides under File > Open Sample: computed phantoms whose tumour is known exactly."""

from napari_gigaclf.viewer.layers import Frame, LayerData, truth_layer
from napari_gigaclf.viewer.reader import off_the_gui_thread, open_layers

LARGE_SIDE = 100_000
LARGE_SEED = 7


def sample_slide() -> list[LayerData]:
    """Return the bundled slide and the outline of its tumour."""

    def open_both() -> list[LayerData]:
        from napari_gigaclf.annotations import read_geojson
        from napari_gigaclf.slides import open_slide
        from napari_gigaclf.slides.sample import sample_path

        slide = open_slide(sample_path("phantom-tumour.ome.tif"))
        truth = read_geojson(sample_path("phantom-tumour.geojson"))
        return [*open_layers(slide), truth_layer(truth, Frame.of_slide(slide))]

    return off_the_gui_thread(open_both)


def large_phantom() -> list[LayerData]:
    """Return a slide of 100 000 x 100 000 pixels; nothing of it is stored, pixels are computed where one looks."""

    def open_large() -> list[LayerData]:
        from napari_gigaclf.slides.phantom import PhantomSlide

        return open_layers(PhantomSlide(seed=LARGE_SEED, shape=(LARGE_SIDE, LARGE_SIDE)))

    return off_the_gui_thread(open_large)
