"""``watch``: the sizes of a model's gradients and parameters in the history, by PyTorch's hooks.

For each parameter the L2 norm is logged, as ``gradients/<name>`` and ``parameters/<name>``.  Nothing of torch is
imported: the model brings the methods that are needed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from artvc.errors import InvalidInput, InvalidType, UsageError

WHAT: Final = ("gradients", "parameters", "all")


class Watcher:
    """The hooks of one run.

    Args:
        log: takes values for the row that is open.
    """

    def __init__(self, log: Callable[[Mapping[str, Any]], None]) -> None:
        self._log = log
        self._hooks: dict[int, tuple[object, list[Any]]] = {}

    def watch(self, models: object, what: str | None, every: int, first: int | None) -> None:
        """Attach hooks to one model or several.

        Args:
            models: each with ``named_parameters`` and ``register_forward_hook``.
            what: ``gradients``, ``parameters``, ``all``; None: nothing.
            every: so many passes are between two values.
            first: number of the first model among several, part of the names of its values.

        Raises:
            InvalidType: no model of PyTorch's.
            InvalidInput: an unknown ``what``, or ``every`` below 1.
            UsageError: a model is watched already.
        """
        listed: list[Any] = list(models) if isinstance(models, list | tuple) else [models]
        for model in listed:
            if not all(hasattr(model, name) for name in ("named_parameters", "register_forward_hook")):
                raise InvalidType(f"watch() takes PyTorch models, not {type(model).__name__}")
        if what is not None and what not in WHAT:
            raise InvalidInput(f"unknown log={what!r}", hint="use 'gradients', 'parameters', 'all' or None")
        if every < 1:
            raise InvalidInput(f"log_freq must be 1 or more, not {every!r}")
        if what is None:
            return
        for number, model in enumerate(listed, start=first or 0):
            if id(model) in self._hooks:
                raise UsageError("this model is watched already", hint="call unwatch() first")
            prefix = f"graph_{number}" if number else ""
            hooks: list[Any] = []
            if what in {"gradients", "all"}:
                for name, parameter in model.named_parameters():
                    if parameter.requires_grad:
                        hooks.append(parameter.register_hook(_Gradient(self._log, f"gradients/{prefix}{name}", every)))
            if what in {"parameters", "all"}:
                hooks.append(model.register_forward_hook(_Parameters(self._log, prefix, every)))
            self._hooks[id(model)] = (model, hooks)  # held, so that the number stays its own

    def unwatch(self, models: object = None) -> None:
        """Remove the hooks of some models; None: of all."""
        listed: Sequence[object] = models if isinstance(models, list | tuple) else [models]
        chosen = list(self._hooks) if models is None else [id(model) for model in listed]
        for key in chosen:
            _, hooks = self._hooks.pop(key, (None, []))
            for hook in hooks:
                hook.remove()


class _Gradient:
    """Called with the gradient of a parameter at each backward pass."""

    def __init__(self, log: Callable[[Mapping[str, Any]], None], key: str, every: int) -> None:
        self._log = log
        self._key = key
        self._every = every
        self._passes = 0

    def __call__(self, gradient: Any) -> None:
        if self._passes % self._every == 0:
            self._log({self._key: _norm(gradient)})
        self._passes += 1


class _Parameters:
    """Called with the model after each forward pass."""

    def __init__(self, log: Callable[[Mapping[str, Any]], None], prefix: str, every: int) -> None:
        self._log = log
        self._prefix = prefix
        self._every = every
        self._passes = 0

    def __call__(self, model: Any, *_: object) -> None:
        if self._passes % self._every == 0:
            norms = {name: _norm(parameter) for name, parameter in model.named_parameters()}
            self._log({f"parameters/{self._prefix}{name}": norm for name, norm in norms.items()})
        self._passes += 1


def _norm(tensor: Any) -> float:
    """The L2 norm; sparse gradients by their values."""
    dense = tensor.detach()
    if dense.is_sparse:
        dense = dense.coalesce().values()
    return float(dense.float().norm().item())
