"""How a mean of a quantity is made, and which statistic it is then, as the vocabulary's `behaves` says."""

from analytics import means

BEHAVES = {"level": means.ARITHMETIC, "sound": means.ENERGETIC, "angle": means.ANGLE, "amount": means.AMOUNT, "peak": means.PEAK}
STATISTIC = {means.ARITHMETIC: "mean", means.ENERGETIC: "leq", means.ANGLE: "mean", means.AMOUNT: "sum", means.PEAK: "max"}
