"""What the numbers of a certificate mean, in words."""

import math
from typing import NamedTuple

from jaxtyping import PyTree

from minimax._certify._certificate import Certificate, Kind
from minimax._certify._measured import Measured
from minimax._certify._replies import Side


def worded(found: Measured) -> Certificate:
    """The certificate of these numbers."""
    kind, message, upper_holds = _verdict(found)
    lower, upper, rounding, hidden = (
        math.fsum(float(getattr(bounds, name)) for bounds in found.bounds)
        for name in ("lower", "upper", "rounding", "hidden")
    )
    certified = bool(found.finite) and not any(float(x) > 0 for x in found.outside)
    return Certificate(
        lower=lower if certified else 0.0,
        upper=upper if upper_holds else math.inf,
        residual=float(found.residual),
        kind=kind,
        message=message,
        rounding=rounding + (hidden if upper_holds else 0.0),
        counterexample=_counterexample(found),
    )


def _counterexample(found: Measured) -> tuple[PyTree, PyTree] | None:
    for side, pair in zip(found.replies.sides, found.worst, strict=True):
        if float(pair.deficit) > 0:
            return found.replies.whole(side, pair.a), found.replies.whole(side, pair.b)
    return None


class _Verdict(NamedTuple):
    """What the numbers are, why, and whether the upper bound is one."""

    kind: Kind
    message: str
    upper_holds: bool


def _verdict(found: Measured) -> _Verdict:
    """The first objection, or what the bounds are worth."""
    objections = (
        _not_finite,
        _infeasible,
        _not_a_convex_set,
        _not_convex,
        _contradictory,
        _unbounded,
    )
    for objection in objections:
        message = objection(found)
        if message is not None:
            return _Verdict("not certifiable", message, upper_holds=False)
    return _worth(found)


def _not_finite(found: Measured) -> str | None:
    if bool(found.finite):
        return None
    return (
        "Players, payoff or gradient are infinite or NaN: nothing is known. Look at "
        "game.value(players) and game.gradient(players)."
    )


def _infeasible(found: Measured) -> str | None:
    for variable, outside in zip(found.variables, found.outside, strict=True):
        if float(outside) > 0:
            return (
                f"{variable.place} is outside {variable.constraint!r}, by {float(outside):.2g} in "
                "an entry: the gap of infeasible players is infinite. Certify "
                "game.project(players)."
            )
    return None


def _not_a_convex_set(found: Measured) -> str | None:
    for variable in found.variables:
        if variable.constraint is not None and not variable.constraint.is_convex:
            return (
                f"{variable.place} has {variable.constraint!r}, which is not convex: nothing "
                "bounds the gap from above, and there need be no saddle point. The lower bound "
                "holds; small residuals say that no player gains to first order."
            )
    return None


def _not_convex(found: Measured) -> str | None:
    for side, pair in zip(found.replies.sides, found.worst, strict=True):
        if float(pair.deficit) > 0:
            return (
                f"The payoff is not {_shape(side)} for {_listed(side.places)}, its own player, or "
                "its gradient is another function's: at two feasible points it is "
                f"{float(pair.deficit):.2g} {'below' if side.sign > 0 else 'above'} its tangent "
                "(counterexample). Only the lower bound holds; small residuals say that no player "
                "gains by a small move."
            )
    return None


def _contradictory(found: Measured) -> str | None:
    for side, bounds in zip(found.replies.sides, found.bounds, strict=True):
        if float(bounds.lower) > float(bounds.upper):
            beware = " (or rounds more than is estimated)" if found.unknown else ""
            return (
                f"The payoff is not {_shape(side)}{beware} for {_listed(side.places)}, its own "
                "player: a reply gains more than any could if it were. Only the lower bound "
                "holds."
            )
    return None


def _unbounded(found: Measured) -> str | None:
    for side, bounds in zip(found.replies.sides, found.bounds, strict=True):
        if not math.isfinite(bounds.upper):
            why = side.unbounded or f"the linearised payoff of {side.places[0]} has no bound"
            return (
                f"Nothing bounds the gap from above: {why}. The lower bound holds; so does the "
                "residual, or a gap restricted to a ball (mm.RestrictedGap)."
            )
    return None


def _shape(side: Side) -> str:
    """What the payoff has to be for its own player."""
    return "convex" if side.sign > 0 else "concave"


def _listed(places: tuple[str, ...], most: int = 3) -> str:
    shown = " and ".join(places[:most])
    return shown if len(places) <= most else f"{shown} … ({len(places)} arrays)"


def _worth(found: Measured) -> _Verdict:
    """What bounds are worth to which nothing is objected."""
    proved = "the payoff is linear in each player's own variables, as its program proves"
    if found.is_linear and not found.unknown:
        message = f"The duality gap, up to rounding: {proved}."
        return _Verdict("exact", message, upper_holds=True)
    proviso = proved
    if not found.is_linear:
        proviso = (
            "the duality gap lies in between, provided that each payoff is convex for its own "
            "player, or concave where that is a maximiser: not proved, but not violated beyond "
            f"rounding at {int(found.looked_at)} pairs of points"
        )
    proviso = f"{proviso[0].upper()}{proviso[1:]}."
    if not found.unknown:
        return _Verdict("interval", proviso, upper_holds=True)
    rounding = f"Rounding is estimated and not bounded, because of {', '.join(found.unknown)}."
    return _Verdict("estimate", f"{proviso} {rounding}", upper_holds=True)
