"""Helpers for the notebooks: a quiet start, guesses and findings, fair comparisons, and checks for the exercises."""

from tlkeras.teaching import doctor, lab
from tlkeras.teaching.comparing import compare, counted, interval, percent, scoreboard
from tlkeras.teaching.diagrams import decision_regions, transfer_diagram
from tlkeras.teaching.exercises import NotYet, check, quiz
from tlkeras.teaching.guesses import outcome, predict
from tlkeras.teaching.line_chart import line_chart
from tlkeras.teaching.materials import clipart10, emoji4, measured
from tlkeras.teaching.session import start
from tlkeras.teaching.showing import finding, show_figure, table
from tlkeras.teaching.upper_blocks import UpperBlocks

__all__ = [
    "NotYet",
    "UpperBlocks",
    "check",
    "clipart10",
    "compare",
    "counted",
    "decision_regions",
    "doctor",
    "emoji4",
    "finding",
    "interval",
    "lab",
    "line_chart",
    "measured",
    "outcome",
    "percent",
    "predict",
    "quiz",
    "scoreboard",
    "show_figure",
    "start",
    "table",
    "transfer_diagram",
]
