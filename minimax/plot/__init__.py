"""Pictures of solutions: where a solver went, through which field, and how fast.

Every function draws on `ax`, or on a new figure where there is none, and returns the axes. None
shows or saves anything, and none changes matplotlib's settings. matplotlib is the extra `plot`,
imported when something is drawn. What is drawn is what was recorded: `solve(..., record=1)`.
"""

from minimax.plot.convergence import convergence as convergence
from minimax.plot.overview import overview as overview
from minimax.plot.phase_portrait import phase_portrait as phase_portrait
from minimax.plot.trajectory import trajectory as trajectory
