"""Secrets never get out, and what an engineer must read stays readable."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.rank_hook.diagnose_rank.hints import may_hold_secret
from probes.redact import HIDDEN, redact, redact_argv, redact_value

HEX = "0123456789abcdef" * 4
WORD = "Zx81qLmN4pRt7vWy2bCd5fGh"

SECRETS = {
    "name=value": ("PASSWORD=hunter2", "hunter2"),
    "name: value": ("db_password: hunter2", "hunter2"),
    "quoted value": ('password="hunter2 with blanks"', "hunter2"),
    "JSON": ('{"api_key": "abc123def"}', "abc123def"),
    "Python dict": ("{'client_secret': 'abc123def'}", "abc123def"),
    "flag with blank": ("train.py --password hunter2 --lr 3", "hunter2"),
    "flag with =": ("train.py --wandb-api-key=abc123def", "abc123def"),
    "AWS id": ("used AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
    "AWS secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPx", "wJalrXUtnFEMI/K7MDENG/bPx"),
    "OpenAI style": (f"key sk-{WORD} is bad", WORD),
    "project key": (f"sk-proj-{WORD}-{WORD}", WORD),
    "GitHub": (f"cloning with ghp_{WORD}", WORD),
    "GitHub fine": (f"github_pat_{WORD}_{WORD}", WORD),
    "GitLab": (f"glpat-{WORD}", WORD),
    "Hugging Face": (f"hf_{WORD}", WORD),
    "Slack": ("xoxb-123456789012-abcdefghij", "abcdefghij"),
    "Slack hook": ("https://hooks.slack.com/services/T0/B0/abcdef", "T0/B0/abcdef"),
    "Google": (f"AIza{WORD}{WORD[:11]}", WORD),
    "npm": (f"npm_{WORD}{WORD[:12]}", WORD),
    "PyPI": (f"pypi-{WORD}{WORD}", WORD),
    "SendGrid": (f"SG.{WORD}.{WORD}", WORD),
    "NVIDIA": (f"nvapi-{WORD}", WORD),
    "Modal": (f"ak-{WORD}", WORD),
    "Stripe": (f"sk_live_{WORD}", WORD),
    "JWT": (f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{WORD}", "eyJzdWIiOiIxMjM0In0"),
    "bearer": ("Authorization: Bearer abcdef.ghijkl", "abcdef.ghijkl"),
    "basic": ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "URL userinfo": ("postgres://me:hunter2@db:5432/x", "hunter2"),
    "URL token": (f"https://{WORD}@host/x.git", WORD),
    "signed URL": ("https://b/x?X-Amz-Signature=abc123&n=1", "abc123"),
    "SAS": ("https://acc.blob/x?sv=1&sig=abc%2Fdef", "abc%2Fdef"),
    "Azure": ("AccountName=a;AccountKey=abc123def==;E=x", "abc123def"),
    "token by name": (f"HF_TOKEN={WORD}", WORD),
    "hex by name": (f"WANDB_API_KEY={HEX[:40]}", HEX[:40]),
    "cookie": ("Cookie: session=abcdef123", "abcdef123"),
    "key block": (f"-----BEGIN RSA PRIVATE KEY-----\n{WORD}\n-----END RSA PRIVATE KEY-----", WORD),
    "key block cut off": (f"-----BEGIN PRIVATE KEY-----\n{WORD}\n{WORD}", WORD),
}

READABLE = [
    "num_tokens=5 max_tokens=4096 tokens_per_s=12034.5",
    "--tokenizer gpt2 --max-token-len 128 --token-dropout 0.1",
    "eos_token=</s> pad_token_id=50256 special_tokens_map.json",
    "attempts/1/logs/rank-00003.log:8812",
    "/home/me/.cache/huggingface/tokenizer.json",
    f"commit {HEX[:40]}",
    "shape (4, 2048, 12288) torch.bfloat16 cuda:3",
    "PWD=/root OLDPWD=/tmp",
    "password=None api_key=null secret=true",
    "NCCL_DEBUG=INFO RANK=3 MASTER_ADDR=10.0.0.1 MASTER_PORT=29500",
    "KeyError: 'model.layers.0.weight'",
    "RuntimeError: Expected all tensors on the same device, cuda:0 and cpu",
    "https://pytorch.org/docs/stable/elastic/errors.html?highlight=key",
    "tcp://127.0.0.1:29500?rank=0&world_size=2",
    "key=value cache_key=ab primary_key=id keyword=x monkey=banana",
    "/tmp/torchinductor_root/as/casxyz.py and sk-learn, task-12",
    "std::string at 0x7f6d8005e840 (torch::autograd)",
    'File "/a/token.py", line 3, in next_token',
]


@pytest.mark.parametrize("kind", SECRETS)
def test_a_planted_secret_is_hidden(kind: str) -> None:
    text, secret = SECRETS[kind]
    hidden = redact(f"before {text} after")
    assert secret not in hidden and HIDDEN in hidden and hidden.startswith("before ")


@pytest.mark.parametrize("text", READABLE)
def test_what_is_no_secret_stays_readable(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("kind", SECRETS)
def test_hiding_twice_changes_nothing_more(kind: str) -> None:
    once = redact(SECRETS[kind][0])
    assert redact(once) == once


noise = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=300, deadline=None)
@given(noise, st.sampled_from(sorted(SECRETS)), noise)
def test_a_secret_is_hidden_in_any_text(before: str, kind: str, after: str) -> None:
    text, secret = SECRETS[kind]
    assert secret not in redact(f"{before} {text} {after}")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*SECRETS, *READABLE]) | noise, max_size=4))
def test_the_quick_look_never_misses_what_would_be_hidden(parts: list[str]) -> None:
    text = " ".join(SECRETS[part][0] if part in SECRETS else part for part in parts)
    assert may_hold_secret(text) or HIDDEN not in redact(text)


def test_a_command_line_hides_a_value_with_blanks() -> None:
    argv = ["train.py", "--db-password", "two words", "--lr", "3", "--flag"]
    assert redact_argv(argv) == f"train.py --db-password {HIDDEN} --lr 3 --flag"


def test_nested_data_hides_by_key_and_by_value() -> None:
    data: dict[str, Any] = {
        "a": [{"HF_TOKEN": "x", "n": 3}],
        "text": "PASSWORD=hunter2",
        "none": None,
        "TOKEN": "",
    }
    assert redact_value(data) == {
        "a": [{"HF_TOKEN": HIDDEN, "n": 3}],
        "text": f"PASSWORD={HIDDEN}",
        "none": None,
        "TOKEN": "",
    }


def test_a_long_text_takes_no_long_time() -> None:
    for piece in ("a-", "token", "=", "://", "x" * 50 + "_key", "'", "--password ", "-----BEGIN KEY-----"):
        redact(piece * (40_000 // len(piece)))
