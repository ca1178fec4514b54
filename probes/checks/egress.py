"""Whether the hosts outside that the job will talk to can be reached, through its proxy where it has one."""

import socket
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from probes import deadline
from probes.checking.check import Check, Measurement, Target, measured, skipped

CHECK = Check("default", 40.0, cost=("network",))
LIMIT_S, CONNECT_S = 8.0, 5.0
YES = {"1", "on", "yes", "true"}
PORTS = {"http": 80, "https": 443}


def measure(target: Target) -> list[Measurement]:
    wanted = needed(target.environ)
    if not wanted:
        return [skipped("network", "environment", "nothing in the environment names a host outside")]
    return [asked(name, url, target.environ) for name, url in wanted.items()]


def needed(environ: Mapping[str, str]) -> dict[str, str]:
    """What the job will want, by the variables that make it want it -> where that is.

    >>> needed({"HF_TOKEN": "x", "HF_ENDPOINT": "http://mirror:8080", "WANDB_MODE": "offline", "WANDB_PROJECT": "p"})
    {'Hugging Face hub': 'http://mirror:8080'}
    """  # noqa: E501
    found = {}
    is_offline = any(
        environ.get(name, "").lower() in YES for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )
    if any(name.startswith(("HF_", "HUGGING_FACE_")) for name in environ) and not is_offline:
        found["Hugging Face hub"] = environ.get("HF_ENDPOINT") or "https://huggingface.co"
    is_mute = environ.get("WANDB_MODE", "").lower() in {"offline", "disabled", "dryrun"}
    if any(name.startswith("WANDB_") for name in environ) and not is_mute:
        found["Weights & Biases"] = environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    if url := environ.get("MLFLOW_TRACKING_URI", ""):
        found |= {"MLflow": url} if url.startswith(("http://", "https://")) else {}
    if url := environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL", ""):
        found["S3"] = url
    return found


def asked(name: str, url: str, environ: Mapping[str, str]) -> Measurement:
    host, port, is_proxy = place(url, environ)
    where = f"connect to {host}:{port}" + (" (a proxy)" if is_proxy else "")
    begun = time.monotonic()
    told = deadline.call(lambda: reach(host, port).encode(), LIMIT_S)
    took = round(time.monotonic() - begun, 3)
    refusal = f"no answer within {LIMIT_S:g} s" if told is None else told.decode()
    return measured(name, where, refusal=refusal, is_proxy=is_proxy, took_s=took)


def place(url: str, environ: Mapping[str, str]) -> tuple[str, int, bool]:
    """(host, port, is it a proxy?) that a URL is fetched from first.

    >>> place("https://a.b/c", {"https_proxy": "http://user:pw@proxy:3128", "no_proxy": "localhost"})
    ('proxy', 3128, True)
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 443)
        without = [
            word.strip().lstrip(".") for word in either("no_proxy", environ).split(",") if word.strip()
        ]
        proxy = either(f"{parts.scheme}_proxy", environ) or either("all_proxy", environ)
        if proxy and not any(word == "*" or host == word or host.endswith(f".{word}") for word in without):
            inner = urlsplit(proxy if "//" in proxy else f"//{proxy}")
            return inner.hostname or "", inner.port or 3128, True
        return host, port, False
    except ValueError:
        return "", 0, False


def either(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name) or environ.get(name.upper(), "")


def reach(host: str, port: int) -> str:
    if not host:
        return "this is no URL"
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return ""
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
