"""The iterates of a solver by its step API, as the laws of every solver take them."""

from minimax.testing._iterates import iterates as iterates
from minimax.testing._iterates import outputs as outputs
