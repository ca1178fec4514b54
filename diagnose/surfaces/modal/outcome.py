"""What became of a function call, from what `FunctionCall.get(timeout=0)` returned or raised. Pure.

>>> of_error(TimeoutError())
Outcome(kind='running', text='', value=None)
>>> of_error(TimeoutError("wait timeout after 300000ms"))  # the function's own
Outcome(kind='user_exception', text='TimeoutError: wait timeout after 300000ms', value=None)
>>> by_text("Container killed: out of memory")
'oom'
"""

import re
from typing import NamedTuple

from diagnose.values import string
from probes.redact import redact

MODAL, ROOTS = "modal.exception", {"grpclib", "aiohttp", "synchronicity"}
# Says nothing about the run: the client could not ask.
UNREACHABLE = {"AuthError", "ConnectionError", "ServiceError", "ClientClosed", "PermissionDeniedError"}
UNREACHABLE |= {"ResourceExhaustedError", "VersionError", "UnimplementedError", "InternalError"}
KINDS = {
    "OutputExpiredError": "expired",
    "FunctionTimeoutError": "function_timeout",
    "InternalFailure": "internal_failure",
    "NotFoundError": "not_found",
    "ImageBuildError": "init_failure",
}
# A RemoteError has its cause in its text alone. How the platform words these is not known for certain.
TEXTS = (
    ("oom", r"(?i)\bout[ -]of[ -]memory\b|\bOOM\b|memory limit|oom[ _-]kill"),
    ("evicted", r"(?i)\bevict"),
    ("preempted", r"(?i)\bpreempt"),
    ("heartbeat_lost", r"(?i)\bheart ?beat"),
    (
        "init_failure",
        r"(?i)\binit(?:iali[sz]ation)?\b.{0,40}\bfail|\bfailed to (?:start|import|initiali[sz]e)\b",
    ),
    ("terminated", r"(?i)\b(?:terminated|cancell?ed|cancel+ation|was stopped)\b"),
    ("idle_timeout", r"(?i)\bidle\b"),
)
# What each end is in the words of evidence; none for those that say no more than that it ended.
EVENTS = {
    "function_timeout": "platform.timed_out",
    "oom": "platform.oom_told",
    "evicted": "platform.evicted",
    "preempted": "platform.preempted",
    "heartbeat_lost": "platform.heartbeat_lost",
    "init_failure": "platform.init_failed",
    "terminated": "platform.cancelled",
    "internal_failure": "platform.call_ended",
    "remote_error": "platform.call_ended",
    "idle_timeout": "platform.call_ended",
}


class Outcome(NamedTuple):
    """`kind`: running, returned (`value` is what), expired, not_found, or how it ended."""

    kind: str
    text: str = ""
    value: object = None


class Unreachable(Exception):
    """The platform could not be asked. The message is one line."""


def of_error(error: BaseException) -> Outcome:
    """The outcome that an error of `get` stands for. Raises Unreachable where it stands for none."""
    ours = [cls.__name__ for cls in type(error).__mro__ if cls.__module__ == MODAL]
    told = text_of(error)
    if UNREACHABLE & set(ours) or type(error).__module__.split(".")[0] in ROOTS:
        raise Unreachable(one_line(error)) from error
    for name in ours:
        if name in KINDS:
            return Outcome(KINDS[name], told)
    if "RemoteError" in ours:
        return Outcome(by_text(told), told)
    if type(error) is TimeoutError and not error.args:
        return Outcome("running")
    return Outcome("user_exception", words_of(error))


def text_of(error: BaseException, limit: int = 2000) -> str:
    """What an error says of itself; a function's own may raise another one instead."""
    try:
        return redact(string(str(error), limit))
    except Exception:
        return ""


def words_of(error: BaseException) -> str:
    """
    >>> words_of(ValueError("wrong")), words_of(KeyError())
    ('ValueError: wrong', 'KeyError')
    """
    told = text_of(error)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def by_text(text: str) -> str:
    """The kind of end that a RemoteError tells of; without a text the runtime was told to cancel."""
    if not text:
        return "terminated"
    return next((kind for kind, pattern in TEXTS if re.search(pattern, text[:4000])), "remote_error")


def one_line(error: BaseException) -> str:
    """An error as one line that a person can act on."""
    text = " ".join(text_of(error, 600).split()) or type(error).__name__
    if type(error).__name__ == "AuthError":
        why = text.partition(". ")[0].rstrip(".")
        return f"no credentials that Modal takes ({why}): `modal token new` makes some"
    return text
