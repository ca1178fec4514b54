"""What people write for GPUs, times, memory, volumes: each is a setting, or one line of why it is none."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnose import playbook
from diagnose.surfaces.modal import settings
from diagnose.surfaces.modal.settings import BadSetting, Offer

OFFER = playbook.read(playbook.root() / "modal.toml", Offer)
NUMBERS = st.integers(0, 10**12).map(str) | st.text("0123456789\u0663.e+-", max_size=12)
GPUS = st.sampled_from([*OFFER.gpu, "h200", "gpu", ""])
NEAR = st.builds(
    lambda kind, sep, number, unit, rest: kind + sep + number + unit + rest,
    GPUS,
    st.sampled_from(["", ":", "::", ":/", " "]),
    NUMBERS,
    st.sampled_from(["", "s", "m", "h", "d", "GiB", "T", "G:", "M:7G", "/a/../b", "//", "/proc/1", ":ro"]),
    st.text(max_size=4),
)
TEXTS = st.text() | NEAR


def parsed(parse, *words):
    """What a text is read as; None where it is refused, in one line."""
    try:
        return parse(*words)
    except BadSetting as error:
        assert str(error) and len(str(error).splitlines()) == 1
        return None


@given(TEXTS)
def test_any_text_is_gpus_that_there_are_or_none(text):
    found = parsed(settings.gpu, text, OFFER)
    if found:
        kind, _, count = found.partition(":")
        assert 1 <= int(count) <= OFFER.gpu[kind].most and settings.gpu(found, OFFER) == found


@given(TEXTS)
def test_any_text_is_a_time_or_none(text):
    found = parsed(settings.seconds, text)
    assert found is None or (found >= 0 and settings.seconds(f"{found}"[:7]) == int(f"{found}"[:7]))


@given(st.integers(0, 9_999_999), st.sampled_from([("s", 1), ("", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_a_time_is_its_number_of_its_unit(number, unit):
    assert settings.seconds(f"{number}{unit[0]}") == number * unit[1]


@given(TEXTS)
def test_any_text_is_memory_or_none(text):
    found = parsed(settings.memory, text)
    if found:
        assert 0 < found[0] <= found[1] and settings.memory("{}:{}".format(*found)[:19]) is not None


@given(st.integers(1, 4096), st.integers(0, 4096), st.sampled_from(["G", "GiB", "GB"]))
def test_memory_is_a_request_and_a_limit(request, more, unit):
    both = settings.memory(f"{request}{unit}:{request + more}{unit}")
    assert both == (request * 1024, (request + more) * 1024)


@given(TEXTS)
def test_any_text_is_a_mount_at_a_path_of_its_own_or_none(text):
    found = parsed(settings.mount, text)
    if found:
        assert re.fullmatch(r"(/[^/\s]+)+", found.path) and ".." not in found.path.split("/")
        assert not found.path.startswith(("/proc", "/sys/", "/dev/"))


@given(st.text())
def test_any_name_gives_an_app_that_modal_takes(text):
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", settings.app_name(text))


@pytest.mark.parametrize(
    "path", ["/job", "//x", "/proc/x", "/dev/shm/x", "/diagnose/x", "/a b", "/a\n", "/a/./b"]
)
def test_places_that_are_taken_are_refused(path):
    assert parsed(settings.mount, f"data:{path}") is None
