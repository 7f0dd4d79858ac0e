"""wnexp: towards which solution does gradient descent go when a network is weight normalized?"""

__version__ = "0.1.0"
