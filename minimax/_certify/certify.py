r"""`certify`: what the players could still gain, bounded from both sides.

lower  <-- best responses, found by an inner solver      any feasible reply is a proof
upper  <-- linearisation at the players or at the reply  valid where payoffs are convex
words  <-- what is proved, what no probe refuted, what rounding allows
"""

import jax
from jaxtyping import PyTree

from minimax import _tree
from minimax._certify._certificate import Certificate
from minimax._certify._measured import measured
from minimax._certify._verdict import worded
from minimax._check import check_fits
from minimax._errors import GameError, check_whole, is_known
from minimax._game import AbstractGame
from minimax._players import as_players
from minimax._solution import Solution


def certify(
    game: AbstractGame,
    players: PyTree,
    data: PyTree = None,
    *,
    pairs: int = 64,
    max_steps: int = 500,
) -> Certificate:
    r"""Bounds on the duality gap at `players`, and what they are worth.

    $$\max_{y'} f(x, y') - \min_{x'} f(x', y),$$

    with x all players that share the payoff and are "min", and y all that are "max". For payoffs
    $f_i$ of their own it is the Nikaido-Isoda function
    $\sum_i \max_{u_i} s_i (f_i(z) - f_i(u_i, z_{-i}))$, the sum of what each player could gain
    alone. A regulariser counts as part of the payoff of its player.

    - `lower` is what replies found by a solver gain. It holds for every game: what has been gained
      can be gained.
    - `upper` is $\sum_i \min\{g_i(z_i), f_i(z) - f_i(u_i, z_{-i}) + g_i(u_i)\}$ with the linearised
      gap $g_i(b) = \max_v \langle F_i(b, z_{-i}), b - v \rangle$, at the players and at the replies
      $u_i$. It holds where each $s_i f_i$ is convex in the variables of player i while the others
      stay. That F is monotone is not needed. Where the payoff is proved to be linear in each
      player's own variables, both bounds are exact; else convexity is probed at pairs of feasible
      points, and the certificate says so.
    - Both leave room for rounding, by a running error analysis of the program of payoff and
      gradient, to first order. What an elementary function of the machine may err is taken to be 8
      units in the last place, and more for powers and exponentials. What is below rounding where
      convexity was probed is added to the upper bound. Operations that it does not know make the
      certificate an estimate.

    The bounds are for the feasible players nearest to those given, which may be a rounding error
    away.

    **Arguments:**

    - `game`, `players`, `data`: as for `solve`; the players of a solution, or any others.
    - `pairs`: how many pairs of points convexity is probed at, for each player.
    - `max_steps`: how many steps the inner solver makes at most for each reply.

    **Returns:** a `Certificate`. Players outside their sets, players that are free or in a set
    that is unbounded or not convex, and payoffs found not convex have no upper bound, and it says
    which.

    **Raises:** `GameError` where game and players do not fit together, and under `jit` or `vmap`:
    a certificate is words about numbers.

    ```python
    >>> import jax.numpy as jnp
    >>> import minimax as mm
    >>> A = jnp.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    >>> game = mm.Game(lambda p: p[0] @ A @ p[1], constraints=mm.Simplex())
    >>> rock = jnp.array([1.0, 0.0, 0.0])
    >>> certificate = mm.certify(game, (rock, rock))
    >>> assert certificate.lower <= 2 <= certificate.upper

    ```

    Source: Nikaido and Isoda, "Note on non-cooperative convex games" (1955); the linearised gap is
    that of Frank and Wolfe (1956); Facchinei and Kanzow, "Generalized Nash equilibrium problems"
    (2007).
    """
    if isinstance(players, Solution):
        raise GameError("players are a Solution: expected its players, solution.players.")
    check_fits(game, players, data)
    for name, number in (("pairs", pairs), ("max_steps", max_steps)):
        check_whole(f"{name} of certify", number, least=0)
    players, data = as_players(players), _tree.floats_as_arrays(data)
    if not is_known(*jax.tree.leaves((game, players, data))):
        raise GameError(
            "certify was called under jit or vmap: expected numbers that can be looked at. Inside "
            "compiled code take a metric, such as mm.DualityGap() or mm.NaturalResidual()."
        )
    return worded(measured(game, players, data, pairs, max_steps))
