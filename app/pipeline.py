"""The stages that the jobs put together, gathered so that a test or a benchmark can hand in others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Cuts(Protocol):
    """Where the shots of a run of frames begin; see `propagation.shots.CutSearch`."""

    def is_cut(self, index: int) -> bool:
        """Whether frame `index` is the first of a shot other than the first; any thread may ask."""

    @property
    def cuts(self) -> Sequence[int]:
        """Those found so far."""

    @property
    def finished(self) -> bool:
        """Whether these are all."""


@dataclass(frozen=True)
class Pipeline:
    """Loaders and functions of the propagation floor; `real()` gives those of the trained networks.

    `load_densifier(device)` gives an object with `prepare(lightness, thorough=)` and `fill(prepared, hints)`;
    `make_hints(values, strength)` the hints that it takes; `load_carrier(device)` what `carry` takes as its carrier;
    `load_light_carrier(device)` the `LightCarrier` of HDR; `search_cuts(read, frames)` a search for cuts in a range of
    frames, read one by one; `lift(ab, small, full)` work-size ab at full size.
    """

    load_densifier: Callable[[str], Any]
    make_hints: Callable[..., Any]
    load_carrier: Callable[[str], Any]
    load_light_carrier: Callable[[str], Any]
    search_cuts: Callable[[Callable[[int], Any], range], Cuts]
    carry: Callable[..., Any]
    lift: Callable[..., Any]


def real() -> Pipeline:
    """The trained networks; imports torch."""
    from propagation.densify import Densifier, Hints
    from propagation.lift import lift_chroma
    from propagation.sequence import Carrier, carry
    from propagation.shots import CutSearch

    return Pipeline(
        load_densifier=lambda device: Densifier.load(device=device),
        make_hints=Hints,
        load_carrier=lambda device: Carrier.load(device=device),
        load_light_carrier=_light_carrier,
        search_cuts=lambda read, frames: CutSearch(map(read, frames)),
        carry=carry,
        lift=lift_chroma,
    )


def _light_carrier(device: str) -> Any:
    from propagation.hdr.carrying import MotionCarrier  # here because color needs none of it
    from propagation.hdr.device_walk import DeviceCarrier

    return MotionCarrier() if device == "cpu" else DeviceCarrier(device)
