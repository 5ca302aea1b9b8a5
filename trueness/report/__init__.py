"""Tables, figures and pages from stored runs; nothing here trains."""

from trueness.judge.leaderboard import Arena, Leaderboard, Row, leaderboard
from trueness.report.page import write_page

__all__ = ["Arena", "Leaderboard", "Row", "leaderboard", "write_page"]
