"""What the program of a plugin printed: a result, the versions it speaks, or an error."""

from __future__ import annotations

from cnifast.invoke.call import VersionInfo
from cnifast.protocol.codec import DecodeError, dumps, loads, quote
from cnifast.protocol.errors import DECODING_FAILURE, INTERNAL, CNIError
from cnifast.protocol.result import Result
from cnifast.protocol.schema import TEXT, UINT, Struct, array, field, fold, lookup
from cnifast.protocol.versions import CURRENT

VERSION_INPUT = dumps({"cniVersion": CURRENT})
NO_VERSION = "unknown CNI_COMMAND: VERSION"  # the error of plugins that are older than VERSION
BEFORE_VERSION = VersionInfo(CURRENT, ("0.1.0",))

_SHOWN_MAX = 200  # characters of an output that is quoted


def required_result(found: str, output: bytes, version: str) -> Result:
    """Return the result that the program at a path printed; see `decode_result`.

    Raises:
        CNIError: it is not a result (code 6).
    """
    try:
        return decode_result(output, version)
    except DecodeError as e:
        shown = quote(output.decode("utf-8", "replace")[:_SHOWN_MAX])
        raise CNIError(
            DECODING_FAILURE, f"{found} printed no result: {e}", f"it printed {shown}"
        ) from None


def decode_result(output: bytes, version: str) -> Result:
    """Return the result that a program printed; one without a version is of the given one.

    Raises:
        DecodeError: it is not a result.
    """
    printed = loads(output)
    if type(printed) is dict:
        own = lookup(printed, "cniversion")
        if own == "":
            printed = {key: value for key, value in printed.items() if fold(key) != "cniversion"}
        elif type(own) is str:
            version = own
    return Result.from_json({} if printed is None else printed, version)


class _VersionAnswer(Struct):
    """What a program prints for VERSION."""

    cni_version = field("cniVersion", TEXT, "")
    supported = field("supportedVersions", array(TEXT), ())


def version_info(found: str, output: bytes) -> VersionInfo:
    """Return the answer to VERSION that a program printed."""
    try:
        answer = _VersionAnswer.decode(loads(output))
    except DecodeError as e:
        raise CNIError(DECODING_FAILURE, f"{found}: decoding version info: {e}") from None
    if not answer.cni_version:
        raise CNIError(INTERNAL, f"{found}: decoding version info: missing field cniVersion")
    supported = answer.supported
    if not supported:
        if answer.cni_version != "0.2.0":
            raise CNIError(
                INTERNAL, f"{found}: decoding version info: missing field supportedVersions"
            )
        supported = ("0.1.0", "0.2.0")
    return VersionInfo(answer.cni_version, supported)


class _Error(Struct):
    """The error that a plugin prints."""

    code = field("code", UINT, 0)
    msg = field("msg", TEXT, "")
    details = field("details", TEXT, "")


class PluginError(CNIError):
    """The failure of a program; whether what it printed on standard error is part of it."""

    def __init__(self, code: int, msg: str, details: str = "", *, has_stderr: bool = False) -> None:
        super().__init__(code, msg, details)
        self.has_stderr = has_stderr


def plugin_error(code: int, failure: str, output: bytes, errors: bytes) -> PluginError:
    """Return the error for a program that failed, from what it printed.

    ``code`` is 0 when the program may have one of its own to tell.
    """
    heard = quote(errors.decode("utf-8", "replace")) if errors else ""
    on_stderr = f"stderr: {heard}" if heard else ""
    if code:
        return PluginError(code, failure, on_stderr, has_stderr=True)
    if not output:
        if not errors:
            return PluginError(INTERNAL, f"netplugin failed with no error message: {failure}")
        return PluginError(INTERNAL, f"netplugin failed: {heard}: {failure}", has_stderr=True)
    try:
        error = _Error.decode(loads(output))
    except DecodeError as e:
        shown = quote(output.decode("utf-8", "replace"))
        msg = f"netplugin failed but its error message {shown} cannot be parsed: {e}: {failure}"
        return PluginError(INTERNAL, msg, on_stderr, has_stderr=True)
    msg = error.msg or f"netplugin failed with no error message: {failure}"
    return PluginError(error.code or INTERNAL, msg, error.details)
