"""Two ways to compare: the curtain over one canvas, and a second canvas beside it."""

from napari_gigaclf.viewer.taking import canvas_is_sharp
from napari_gigaclf.viewer.viewpoint import Viewpoint
from napari_gigaclf.viewer.widgets.compare import CompareWidget
from napari_gigaclf.viewer.widgets.curtain import CurtainWidget
from picture_stories.studio import Studio


def tell_curtain(studio: Studio) -> None:
    """Hang the curtain over the edge of a tumour."""
    viewer = studio.viewer
    studio.plan()
    studio.run()
    viewer.window.remove_dock_widget(studio.widget)
    curtain = studio.dock(CurtainWidget(viewer), "Curtain")
    studio.narrow(curtain, 300)
    Viewpoint(viewer).fit(studio.slide)
    studio.look_at(studio.places()[0], 2.2)
    curtain.on_box.click()
    studio.take("curtain.jpg")
    curtain.shut_down()


def tell_compare(studio: Studio) -> None:
    """Show the map on the first canvas and the saliency on the second one."""
    viewer, canvas = studio.viewer, studio.widget.canvas
    studio.plan()
    studio.run()
    viewer.window.remove_dock_widget(studio.widget)
    compare = studio.dock(CompareWidget(viewer), "Compare")
    studio.look_at(studio.places()[0], 1.3)
    for kind in ("saliency", "tissue"):
        canvas.overlay(studio.slide.id, kind).visible = False
    compare.fill_menu()
    for action in compare.menu.actions():
        if action.text() != "tissue" and not action.text().startswith("probability"):
            action.trigger()
    studio.wait(lambda: canvas_is_sharp(compare.second), "sharp tissue on the second canvas")
    studio.take("compare.jpg")
    compare.shut_down()
