"""Whatever the memory allows, kept graphs or borders on disk, the numbers are those of the untiled network."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from napari_gigaclf.streaming import StreamedModule, stream
from napari_gigaclf.streaming.planning.plan import Budget, Layout
from napari_gigaclf.streaming.planning.rests import bottlenecks
from napari_gigaclf.testing.oracle import answer, disagreements
from napari_gigaclf.testing.strategies import Case, cases


@settings(
    max_examples=60, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(cases(), st.floats(0, 1), st.booleans())
def test_value_and_all_gradients_agree_in_any_memory(case: Case, share: float, keeps: bool) -> None:
    # A plan without an image goes by the parameters' type, and must know the axes.
    assume(any(True for _ in case.module.parameters()) and stream(case.module).geometry())
    roomy = stream(case.module, tile=case.tile).plan(case.image.shape)
    least = stream(case.module, tile=case.tile, memory=1).plan(case.image.shape).peak_bytes
    most = roomy.peak_bytes
    if keeps:
        least, most = roomy.peak_bytes, roomy.peak_bytes + roomy.num_tiles * roomy.graph_bytes
    streamed = stream(case.module, tile=case.tile, memory=least + int(share * (most - least)))
    assert disagreements(answer(case.module, case.image), answer(streamed, case.image)) == {}
    plan, report = streamed.plan(case.image.shape), streamed.last_report
    assert report is not None
    assert report.spilled_bytes == plan.spill_bytes
    assert report.tiles_kept + report.tiles_skipped_zero >= plan.kept_graphs


@settings(
    max_examples=80, derandomize=True, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(cases(), st.data())
def test_value_and_all_gradients_agree_wherever_the_run_rests(case: Case, data: st.DataObject) -> None:
    assume(any(True for _ in case.module.parameters()) and stream(case.module).geometry())
    narrow = bottlenecks(stream(case.module)._graph())
    assume(narrow)
    rests = data.draw(st.sets(st.sampled_from(narrow), min_size=1, max_size=2), label="rests")
    sides = data.draw(st.lists(st.integers(1, 40), min_size=1, max_size=3), label="tiles")
    layout = Layout(tiles=tuple((side,) for side in sides), rests=frozenset(rests))
    memory = data.draw(st.sampled_from([None, 1, 20_000, 200_000, 10_000_000]), label="memory")
    streamed = StreamedModule(case.module, Budget(layout=layout, memory_bytes=memory))
    assert disagreements(answer(case.module, case.image), answer(streamed, case.image)) == {}
    plan, report = streamed.plan(case.image.shape), streamed.last_report
    assert report is not None
    assert len(plan.stages) > 1
    assert report.spilled_bytes == plan.spill_bytes
    assert report.tiles_kept + report.tiles_skipped_zero >= plan.kept_graphs
