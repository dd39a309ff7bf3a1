"""A message for tests, with what the alerts of the daemon put into one."""

from rows import T0

from gateway.contracts import Notice

NOTICE = Notice(
    "es_1f2e3d4c_17_2_ab12cd34", T0, "alert.raised", "RAISED yellow 清河断面 NH3-N 1.12 > 1.0 mg/L  #0921-3",
    {"alert": "0921-3", "no": 2, "state": "firing", "station": "qinghe", "colour": "yellow", "value": 1.12, "previous": 0},
)
