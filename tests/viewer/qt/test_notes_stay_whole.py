"""The lines that say what a model is not for are read in full, whatever else the widget has to say."""

from napari_gigaclf.models.card import RESEARCH_USE_ONLY
from napari_gigaclf.slides import open_slide

WARNING = (
    "stain: colours are far from those the model was trained on (hue 11 degrees away; mean optical density in red / "
    "green / blue 0.12 / 0.44 / 0.25, training 0.24 / 0.46 / 0.24); its numbers may be wrong"
)


def test_what_the_model_is_not_for_stays_whole_when_a_scale_is_given(
    widget, viewer, on_the_screen, show, pixels, qtbot
):
    viewer.window.resize(1600, 1000)
    show(open_slide([pixels, pixels[::4, ::4]]))
    said = widget.choices.model_note
    said.setText(f"For sentinel lymph node, breast cancer (H&E). {RESEARCH_USE_ONLY}")
    qtbot.wait(1500)
    widget.choices.scale_button.click()
    qtbot.wait(2400)
    widget.run_panel.show_plan("120 tiles at 0.97 µm/px, about 5 s, 140 MB of memory", [WARNING])
    for _ in range(3):
        qtbot.wait(300)
        assert said.height() >= said.heightForWidth(said.width())
