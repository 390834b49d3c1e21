r"""The laws that hold of every constraint, solver, game and metric, to be held against one's own.

They are what the tests of this library hold its own against. Not imported by `import minimax`,
because they need hypothesis: `pip install "minimax-jax[test]"`.

| what | all its laws in one call | law by law | with what is claimed for it |
|---|---|---|---|
| a constraint | `check_constraint` | `constraint_laws` | `ConstraintCase` |
| a solver | `check_solver` | `solver_laws` | `SolverCase` |
| a game | `check_game_laws` | `game_laws` | `GameCase` |
| a metric | `check_metric` | `metric_laws` | `MetricCase` |

Law by law, each is a test that bears its name:

    CASE = SolverCase(MySolver(0.1))
    LAWS = [pytest.param(law, id=law.name) for law in solver_laws if law.applies(CASE)]

    @pytest.mark.parametrize("law", LAWS)
    def test_my_solver(law):
        law(CASE)

```python
>>> import jax.numpy as jnp
>>> import minimax as mm
>>> import minimax.testing
>>> class Tail(mm.AbstractSet):
...     "At least so much in every entry."
...     least: float
...     def project(self, point):
...         return jnp.maximum(point, self.least)
>>> minimax.testing.check_constraint(Tail(0.5))
>>> class Wrong(Tail):
...     def project(self, point):
...         return jnp.where(point < self.least, self.least + 0.1, point)
>>> minimax.testing.check_constraint(Wrong(0.5))
Traceback (most recent call last):
  ...
AssertionError: a projection is the nearest feasible point: ⟨x - Px, u - Px⟩ <= 0 ...

```
"""

try:
    import hypothesis as hypothesis
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'minimax.testing needs hypothesis: pip install "minimax-jax[test]"', name=error.name
    ) from error

from minimax.testing.constraints import ConstraintCase as ConstraintCase
from minimax.testing.constraints import check_constraint as check_constraint
from minimax.testing.constraints import constraint_laws as constraint_laws
from minimax.testing.games import GameCase as GameCase
from minimax.testing.games import check_game_laws as check_game_laws
from minimax.testing.games import game_laws as game_laws
from minimax.testing.metrics import MetricCase as MetricCase
from minimax.testing.metrics import check_metric as check_metric
from minimax.testing.metrics import metric_laws as metric_laws
from minimax.testing.solvers import COUPLED as COUPLED
from minimax.testing.solvers import FREE as FREE
from minimax.testing.solvers import SIMPLICES as SIMPLICES
from minimax.testing.solvers import Family as Family
from minimax.testing.solvers import SolverCase as SolverCase
from minimax.testing.solvers import check_solver as check_solver
from minimax.testing.solvers import solver_laws as solver_laws
