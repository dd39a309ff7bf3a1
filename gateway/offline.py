"""What the command line does without a daemon: `compute` and `standards`."""

from gateway.computing import compute as compute
from gateway.showing_standards import standards as standards
