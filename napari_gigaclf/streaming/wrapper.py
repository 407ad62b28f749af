"""A module that is another one in everything but ``forward``: same parameters, same state, same modes."""

from typing import Any, Self

from torch import nn

OWN_TABLES = (
    "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_version",
    "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
"""What a wrapper has in common with the module it wraps: one truth, under the module's own names."""


class Wrapper(nn.Module):
    """Wraps a module. What the module's class does about its mode and its state, this one does, too.

    Parameters
    ----------
    module
        The module to wrap.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for table in OWN_TABLES:
            self.__dict__[table] = getattr(module, table)
        self.training = module.training
        self._wrapped = (module,)  # in a tuple, so that it is not registered a second time

    @property
    def module(self) -> nn.Module:
        """The wrapped module."""
        return self._wrapped[0]

    def train(self, mode: bool = True) -> Self:
        """Set the mode as the wrapped module does it, which may leave parts of it as they are."""
        self.module.train(mode)
        self.training = self.module.training
        return self

    def _save_to_state_dict(self, *args: Any) -> None:  # noqa: ANN401 - handed on
        self.module._save_to_state_dict(*args)

    def _load_from_state_dict(self, *args: Any) -> None:  # noqa: ANN401 - handed on
        self.module._load_from_state_dict(*args)
