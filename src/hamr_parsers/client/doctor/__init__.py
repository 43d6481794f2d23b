"""The doctor: looks at the configuration and, if asked to, at the gateway; names what is wrong, and its cure.

Theory. Five parts, one after the other: `local` (no gateway needed), `gateway` (asks, and keeps what comes as it
came), `answer` and `shape` (what an answer says raw and mended, and where its shape deviates), `examine` (which
questions are asked, and what the answers mean together), `report`. `Doctor.run` gives checks as they are done, so that
an interruption leaves what is known so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ...errors import HamrParsersError
from ..config.load import Configuration
from ..connection import Connection
from ..errors import MissingExtraError
from .check import MARKS, Check, Mark
from .examine import Examination
from .local import configuration_checks, failed, packages, provider_checks
from .report import Report, Verdict, make_report

__all__ = ["MARKS", "Check", "Doctor", "Mark", "Report", "Verdict", "failed"]


@dataclass
class Doctor:
    """One visit: checks as they are done, then a report.

    Attributes:
        configuration: what the files say; an error if they could not be read; None if they do not matter.
        connection: the gateway, or the error that it could not be told.
        full: whether the gateway is asked.
        model: the model to ask for; None: the configured one, else the only one that is served.
        max_tokens: a bound for each answer.
        timeout: seconds of silence that end an answer.
        tester: who asks, for the report.
    """

    configuration: Configuration | HamrParsersError | None
    connection: Connection | HamrParsersError
    full: bool = False
    model: str | None = None
    max_tokens: int = 1024
    timeout: float = 600.0
    tester: str = "not given"
    notice: Callable[[str], None] = field(default=lambda text: None)
    interrupted: bool = False
    checks: list[Check] = field(default_factory=list)
    examination: Examination | None = None

    def run(self) -> Iterator[Check]:
        """The checks, as they are done. After `KeyboardInterrupt`, `report` has what is known so far."""
        try:
            for check in self._checks():
                if isinstance(self.connection, Connection):
                    check.hide(self.connection.blank)
                self.checks.append(check)
                yield check
        except (KeyboardInterrupt, GeneratorExit):
            self.interrupted = True
            raise

    def report(self) -> Report:
        """What was found."""
        return make_report(
            self.checks,
            self.examination,
            tester=self.tester,
            full=self.full,
            interrupted=self.interrupted,
        )

    def _checks(self) -> Iterator[Check]:
        yield from packages()
        if isinstance(self.configuration, HamrParsersError):
            yield failed("configuration", self.configuration)
        elif self.configuration is not None:
            yield from configuration_checks(self.configuration)
        if isinstance(self.connection, HamrParsersError):
            if str(self.connection) != str(self.configuration):
                yield failed("provider", self.connection)
            if self.full:
                yield Check(
                    "gateway", "gateway", "skipped", "the gateway was not asked: which one is not known"
                )
            return
        usable = True
        for check in provider_checks(self.connection):
            usable = usable and check.mark != "failed"
            yield check
        if not self.full:
            said = f"the gateway was not asked; --full probes {self.connection.base_url}"
            yield Check("gateway", "gateway", "skipped", said)
        elif not usable:
            yield Check("gateway", "gateway", "skipped", "the gateway was not asked: its key cannot be made")
        else:
            try:
                from .gateway import Gateway
            except ModuleNotFoundError as error:
                if error.name != "httpx2":
                    raise
                missing = failed("gateway", MissingExtraError("client", error.name))
                missing.group = "gateway"
                yield missing
                return
            gateway = Gateway(self.connection, self.timeout, self.notice)
            self.examination = Examination(gateway, self.model, self.max_tokens)
            try:
                yield from self.examination.run()
            finally:
                gateway.close()
