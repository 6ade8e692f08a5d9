"""Recording the attention logits of any torch model within any training loop.

    with Recorder("run.h5", model, probe, d_k=16, size_name="p", size=97) as recorder:
        for step, batch in enumerate(loader):
            loss = loss_on(batch)
            recorder.record(step, train_loss=loss.item())  # before the update
            update(loss)

Step t means weights that have seen t updates, so a step is recorded before its update: logits and
metrics then belong to the same weights, and step 0 is the untrained model.

`capture_logits` runs the model once on the probe and keeps the argument of every softmax that is
an attention: it watches ``aten._softmax`` and ``aten._safe_softmax`` below the Python API, where
fused attention has been told to take its unfused path.  That holds for nn.MultiheadAttention,
nn.TransformerEncoder, F.scaled_dot_product_attention and hand-written attention alike, needs no
hook on the model, and so leaves nothing behind.  A model may return its logits itself instead
(`capture`).

The pass runs in eval mode without gradients; the mode of every submodule and torch's random state
are as before when it is over, whatever happens in it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.module_tracker import ModuleTracker

from heatcap.runfile import MASK_DEPTH, STANDARD_METRICS, RunWriter

__all__ = ["ABSENT_BELOW", "Recorder", "capture_logits", "evaluating"]

#: Additive masks are finite in much code, from finfo.min of float16 (-65504) downwards, and a
#: score comes on top; no logit gets near half of that.  Older masks of -1e4 lie above it.
ABSENT_BELOW = -32752.0

_SOFTMAXES = (torch.ops.aten._softmax.default, torch.ops.aten._safe_softmax.default)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Set eval mode without gradients; restores every submodule's mode and the random state."""
    modes = [(module, module.training) for module in model.modules()]
    cuda = sorted({p.device.index or 0 for p in model.parameters() if p.device.type == "cuda"})
    try:
        model.eval()
        with torch.random.fork_rng(devices=cuda), torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def capture_logits(
    model: nn.Module,
    probe: Any,
    *,
    accept: Callable[[str, Tensor], bool] | None = None,
    absent_below: float = ABSENT_BELOW,
) -> np.ndarray:
    """Capture attention logits of a model on a probe: (layer, head, probe, query, key) float32.

    Parameters
    ----------
    model : nn.Module
        Any model whose attention goes through softmax over its last axis.
    probe : Tensor, tuple or mapping
        The inputs: one argument, positional arguments, or keyword arguments of the model.  The
        batch is the first axis of the first tensor.
    accept : callable (module name, softmax argument) -> bool, optional
        Picks the attentions among the candidates, softmax arguments of shape (probe, head, query,
        key) or (probe * head, query, key); needed only where something else has such a shape.
    absent_below : float
        A key whose logit is at most this is masked.  The default knows masks of half precision's
        least number and below; older GPT-2 and BERT code masks with -1e4 and needs
        ``absent_below=-5000``.

    Returns
    -------
    ndarray
        Layers in the order of their calls.  Masked keys are -inf, also where the model adds a large
        negative number instead.

    Raises
    ------
    ValueError
        If no attention was seen, layers differ in shape, or a finite logit lies more than 5000
        below its row's largest, as a mask does that `absent_below` has missed.
    """
    watch = _Watch(_probe_size(probe), accept)
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        with evaluating(model), sdpa_kernel(SDPBackend.MATH), watch.names, watch:
            _call(model, probe)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return _masked(_stacked(watch.seen), absent_below).cpu().numpy()


class Recorder:
    """Recorder that writes a run file from any training loop; see the top of this module.

    Leaving the context after the last step finishes the run with the reason "end of loop";
    leaving it by an exception keeps what was recorded and the run unfinished.

    Parameters
    ----------
    path : path
        The run file; one that exists is an error unless `overwrite`.
    model, probe, accept, absent_below
        As for `capture_logits`.
    steps : collection of int, optional
        Steps at which logits are recorded, when `record` is called there; all calls if left out.
    capture : callable () -> (layer, head, probe, query, key), optional
        A model's own way to its logits, in place of `capture_logits`; masked keys are -inf.
    probe_input : array (probe, position) of int, optional
        What the file says about the inputs; taken from `probe` if that is one tensor of tokens.
    probe_trained : array (probe,), optional
        Which probe inputs are trained on: 1, 0, or -1 for unknown; all unknown by default.
    seed, parameters : optional
        Identity of the run within a sweep.
    **header
        Passed on to `RunWriter.create`: `d_k`, `size_name` and `size` are needed; `queries`,
        `probe_population`, `config`, `overwrite` and more are optional.
    """

    def __init__(
        self,
        path: str | Path,
        model: nn.Module,
        probe: Any,
        *,
        steps: Collection[int] | None = None,
        accept: Callable[[str, Tensor], bool] | None = None,
        absent_below: float = ABSENT_BELOW,
        capture: Callable[[], Any] | None = None,
        probe_input: np.ndarray | None = None,
        probe_trained: np.ndarray | None = None,
        seed: int = 0,
        parameters: Mapping[str, Any] | None = None,
        **header: Any,
    ) -> None:
        self.path, self.model, self.probe = Path(path), model, probe
        self.steps = None if steps is None else frozenset(steps)
        self.writer: RunWriter | None = None
        self._capture = capture or (
            lambda: capture_logits(model, probe, accept=accept, absent_below=absent_below)
        )
        inputs = _tokens(probe) if probe_input is None else np.asarray(probe_input)
        trained = np.full(len(inputs), -1, np.int8) if probe_trained is None else probe_trained
        self._header = header | {
            "probe_input": inputs,
            "probe_trained": trained,
            "seed": seed,
            "parameters": {"seed": seed} | dict(parameters or {}),
        }

    def record(self, step: int, **metrics: float) -> None:
        """Record the metrics of a step and, if it is one of `steps`, the attention logits.

        `step` counts the updates that the weights have seen: call it before the update of `step`.
        The first call announces the metrics; later ones may not bring new names.
        """
        due = self.steps is None or step in self.steps
        logits = self._logits() if due or self.writer is None else None
        if self.writer is None:
            self.writer = self._create(cast(np.ndarray, logits), metrics)
        if metrics:
            self.writer.log(step, **{name: float(value) for name, value in metrics.items()})
        if due and logits is not None:
            self.writer.append(step, logits)

    def finish(self, reason: str = "end of loop") -> None:
        """Mark the run as ended, with the reason."""
        if self.writer is not None:
            self.writer.finish(reason)
            self.close()

    def close(self) -> None:
        """Release the file; the run stays unfinished."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        self.close()

    def _logits(self) -> np.ndarray:
        with evaluating(self.model):
            logits = self._capture()
        return np.asarray(logits.cpu() if isinstance(logits, Tensor) else logits, np.float32)

    def _create(self, logits: np.ndarray, metrics: Mapping[str, float]) -> RunWriter:
        """Start the run file, with what the model itself tells of its header."""
        layers, heads, _, queries, keys = logits.shape
        dtypes = (str(weight.dtype).removeprefix("torch.") for weight in self.model.parameters())
        defaults: dict[str, Any] = {
            "queries": range(keys - queries, keys),
            "model_dtype": next(dtypes, "float32"),
        }
        return RunWriter.create(
            self.path,
            layers=layers,
            heads=heads,
            keys=keys,
            metrics=list(dict.fromkeys([*STANDARD_METRICS, *metrics])),
            **(defaults | self._header),
        )


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Capture of the argument of every softmax over attention logits, (probe, head, query, key)."""

    def __init__(self, probes: int, accept: Callable[[str, Tensor], bool] | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Tensor] = []
        self.names = ModuleTracker()
        self._probes, self._accept = probes, accept

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _SOFTMAXES and args[1] in (-1, args[0].ndim - 1):
            self._see(args[0])
        return func(*args, **(kwargs or {}))

    def _see(self, logits: Tensor) -> None:
        shape = logits.shape
        if logits.ndim not in (3, 4) or shape[0] % self._probes:
            return
        if logits.ndim == 4 and shape[0] != self._probes:
            return
        name = max(self.names.parents, key=len, default="")
        if self._accept is None or self._accept(name, logits):
            heads = logits.numel() // (self._probes * shape[-2] * shape[-1])
            self.seen.append(logits.detach().reshape(self._probes, heads, *shape[-2:]))


def _stacked(seen: list[Tensor]) -> Tensor:
    """Logits (layer, head, probe, query, key) float32."""
    shapes = {tuple(s.shape) for s in seen}
    if not seen:
        raise ValueError(
            "expected attention logits of shape (probe, head, query, key) at a softmax, saw none; "
            "is the batch the first axis of the probe?"
        )
    if len(shapes) > 1:
        raise ValueError(
            "expected one shape (probe, head, query, key) in all layers, "
            f"got {sorted(shapes)}; pick layers of one shape with accept="
        )
    return torch.stack([s.float() for s in seen]).transpose(1, 2)


def _masked(logits: Tensor, absent_below: float) -> Tensor:
    """Logits with -inf at masked keys; an error where a mask seems to be left."""
    absent = logits <= absent_below
    top = logits.amax(-1, keepdim=True)
    left = logits[~absent & (top - logits > MASK_DEPTH)]
    if left.numel():
        raise ValueError(
            f"{left.numel()} logits lie more than {MASK_DEPTH:g} below the largest of their row, "
            f"the highest at {left.max():g}: this looks like an additive mask; pass absent_below, "
            f"a number between it and the scores (-5000 for a mask of -1e4), got {absent_below:g}"
        )
    return logits.masked_fill(absent, -torch.inf)


def _call(model: nn.Module, probe: Any) -> None:
    if isinstance(probe, Mapping):
        model(**probe)
    elif isinstance(probe, tuple):
        model(*probe)
    else:
        model(probe)


def _first(probe: Any) -> Any:
    """First tensor of a probe."""
    if isinstance(probe, Mapping):
        probe = tuple(probe.values())
    if isinstance(probe, tuple):
        return next((p for p in probe if isinstance(p, Tensor)), None)
    return probe


def _probe_size(probe: Any) -> int:
    first = _first(probe)
    if not isinstance(first, Tensor) or first.ndim == 0:
        raise ValueError(
            f"probe: expected a tensor with the batch first, got {type(first).__name__}"
        )
    return len(first)


def _tokens(probe: Any) -> np.ndarray:
    """Tokens (probe, position) of a probe, or a number for each input if it has none."""
    first = _first(probe)
    if isinstance(first, Tensor) and first.ndim == 2 and not first.is_floating_point():
        return first.detach().cpu().numpy()
    return np.arange(_probe_size(probe))[:, np.newaxis]
