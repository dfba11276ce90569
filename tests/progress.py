"""A pytest plugin: one line of progress in place of a dot for each test, as `make test` uses it.

    python -m pytest -q -p tests.progress

On a terminal the line is overwritten; elsewhere, as in the log of a CI, there is a new one every half minute. A test
that fails is named at once.
"""

import sys
import time
from typing import Any

import pytest

__all__ = ["pytest_configure"]

_CLEAR = "\r\x1b[K"  # of a terminal's line


@pytest.hookimpl(trylast=True)  # once there is a terminal reporter
def pytest_configure(config: pytest.Config) -> None:
    """Shows the progress in the process that reports, which xdist's workers don't."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Progress(config.get_terminal_writer()))


class _Progress:
    def __init__(self, writer: Any):
        self._writer = writer
        self._total = self._done = self._failed = 0
        self._terminal = sys.stdout.isatty()
        self._began = self._shown = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str] | None:
        """No letter for a test that passed, failed or was skipped: the summary counts them."""
        plain = (report.when == "call" or report.skipped) and not hasattr(report, "wasxfail")
        return (report.outcome, "", report.outcome.upper()) if plain else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._done += report.when == "teardown"
        if report.failed:  # named at once: the summary may be an hour away
            self._failed += 1
            self._writer.write(f"{_CLEAR if self._terminal else ''}failed: {report.nodeid}\n", flush=True)
        if time.monotonic() - self._shown > (0.2 if self._terminal else 30):
            self._write()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._write("\n")

    def _write(self, end: str = "") -> None:
        self._shown = time.monotonic()
        failed = f", {self._failed} failed" if self._failed else ""
        line = f"{self._done} of {self._total} tests{failed}, {self._shown - self._began:.0f} s"
        self._writer.write(f"\r{line}{end}" if self._terminal else f"{line}\n", flush=True)
