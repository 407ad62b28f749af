"""What a network's code returns: one map, or several in tuples, lists and dicts, as a pyramid of features."""

from collections.abc import Callable

from napari_gigaclf.errors import UnsupportedOperation
from napari_gigaclf.streaming.capture.calls import described
from napari_gigaclf.streaming.network.operations import Argument, NodeRef, references

PLAIN = (int, float, str, bool, type(None))
"""Values that may stand among the maps, such as the name or the stride of a level."""


def result_of(
    returned: Argument, copied: Callable[[NodeRef], NodeRef], is_found: Callable[[Argument], bool]
) -> Argument:
    """Return what the module returns, with references for its maps.

    Parameters
    ----------
    returned
        Found in the code.
    copied
        Gives a copy of a map, for a module that returns the image itself.
    is_found
        Tells whether something is a tensor computed from statistics of maps, which may be returned too.

    Raises
    ------
    UnsupportedOperation
        If there is no map in it, or something else than maps, plain values, and tuples, lists and dicts of them.
    """

    def visited(item: Argument) -> Argument:
        if isinstance(item, NodeRef):
            if item.seen is not None:
                raise UnsupportedOperation(
                    f"cannot stream a module which returns a map with its axes {described(item.seen)}; return "
                    "(batch, channels, space), and change axes outside the streamed module"
                )
            return copied(item) if item.index == 0 else item
        if is_found(item):
            return item
        if isinstance(item, dict):
            return {key: visited(value) for key, value in item.items()}
        if isinstance(item, list):
            return [visited(value) for value in item]
        if type(item) is tuple:
            return tuple(visited(value) for value in item)
        if not isinstance(item, PLAIN):
            raise UnsupportedOperation(
                f"cannot stream a module which returns something that is no map over space ({type(item).__name__}); "
                "return maps computed from the image, alone or in tuples, lists and dicts"
            )
        return item

    result = visited(returned)
    if not any(True for _ in references(result)):
        raise UnsupportedOperation(
            f"cannot stream a module which returns no map over space (it returned {type(returned).__name__}); "
            "let forward return maps computed from the image"
        )
    return result
