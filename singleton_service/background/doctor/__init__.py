"""What is wrong here, and its fix: checks of the server, the queues and the data directory.

`examine()` asks and checks; each check is a pure function of what was said.
"""

from .examination import UNREACHABLE, examine, findings_of
from .finding import Finding, Verdict, worst

__all__ = ["UNREACHABLE", "Finding", "Verdict", "examine", "findings_of", "worst"]
