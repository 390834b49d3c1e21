"""What `certify` returns: two bounds, and in words what they are worth."""

import decimal
import html
from typing import Any, Literal, NamedTuple

from jaxtyping import PyTree

Kind = Literal["exact", "interval", "estimate", "not certifiable"]


class Certificate(NamedTuple):
    r"""Bounds on what the players could still gain.

    **Attributes:**

    - `lower`, `upper`: bounds on the duality gap; `upper` is infinite where nothing bounds it.
    - `residual`: the natural residual, which needs neither bounded sets nor convexity.
    - `kind`: "exact" (both bounds hold, and differ by rounding), "interval" (both hold provided
      that what no probe refuted is true), "estimate" (as before, but rounding is not bounded) or
      "not certifiable" (only `lower` is claimed).
    - `message`: the same in a sentence, with the reason.
    - `rounding`: how much of both bounds is allowance for rounding. No bound is closer than that.
    - `counterexample`: two points, structured like the players, between which a payoff is not
      convex for the player it belongs to; `None` where none was found.
    """

    lower: float
    upper: float
    residual: float
    kind: Kind
    message: str
    rounding: float
    counterexample: tuple[PyTree, PyTree] | None = None

    def __repr__(self) -> str:
        return "\n".join([f"Certificate: {self.kind}", *self._rows()])

    def _repr_html_(self) -> str:
        rows = (row.split(maxsplit=1) for row in self._rows())
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in rows
        )
        return f"<b>{html.escape(self.kind)}</b><table>{cells}</table>"

    def _rows(self) -> list[str]:
        return [
            f"  gap       {_between(self.lower, self.upper)}",
            f"  residual  {self.residual:.3g} (NaturalResidual)",
            f"  rounding  {self.rounding:.1g}",
            f"  meaning   {self.message}",
        ]


def _between(lower: Any, upper: Any) -> str:
    """`1.5 to 2`, rounded outwards."""
    ends = (lower, decimal.ROUND_FLOOR), (upper, decimal.ROUND_CEILING)
    return " to ".join(
        f"{float(decimal.Context(3, rounding).create_decimal(float(end))):.3g}"
        for end, rounding in ends
    )
