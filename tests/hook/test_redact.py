"""Secrets never get out, and what an engineer must read stays readable."""

from pathlib import Path
from random import Random
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.rank_hook.diagnose_rank.hints import may_hold_secret
from probes.rank_hook.diagnose_rank.randomness import is_random, words
from probes.redact import HIDDEN, redact, redact_argv, redact_value

HEX = "0123456789abcdef" * 4
RANDOM = "qT4vB9xLw2ZcR7mKp1NsY8dG3hJ6fUaE"
BASE64 = "c2VlZCBvZiBhIGtleSB0aGF0IGlz/3IgdG8gYmU="
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
    "Databricks": (f"dapi{HEX[:32]}", HEX[:32]),
    "Vault": (f"hvs.{WORD}", WORD),
    "Docker": (f"dckr_pat_{WORD}", WORD),
    "Grafana": (f"glsa_{WORD}", WORD),
    "Tailscale": (f"tskey-auth-{WORD}", WORD),
    "netrc": ("machine api.x.io login me password hunter2", "hunter2"),
    "curl": ("curl -s -u me:hunter2 https://x.io", "hunter2"),
    "random": (f"the answer is {RANDOM}.", RANDOM),
    "random, assigned": (f"ANSWER={RANDOM}", RANDOM),
    "random base64": (f"'{BASE64}'", BASE64),
    "cookies": ("Cookie: a=1; session=s3cr3tv4lue; b=2", "s3cr3tv4lue"),
    "JSON in quotes": (r'--config "{\"api_key\": \"abc123def\"}"', "abc123def"),
    "password for short": ("SMTP_PASS=hunter2", "hunter2"),
    "flag for short": ("train.py --pw hunter2", "hunter2"),
    "flag behind a launcher's prefix": ("[default0]:--pass hunter2", "hunter2"),
    "set": ("set -x HF_TOKEN abcdefgh12345", "abcdefgh12345"),
    "variable": (f"KAGGLE_KEY={HEX[:32]}", HEX[:32]),
    "collector's headers": ("OTEL_EXPORTER_OTLP_HEADERS=x-team=abc123def456", "abc123def456"),
    "ODBC": ("Server=s;Uid=me;Pwd=hunter2;", "hunter2"),
    "Oracle": ("jdbc:oracle:thin:scott/tiger12@//h:1521/x", "tiger12"),
    "password with @": ("http://admin:p@ss@10.0.0.1:8080/x", "p@ss"),
    "short URL token": ("https://abcdefgh1234@github.com/o/r.git", "abcdefgh1234"),
    "keys in a bucket's URL": ("s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@bucket/x", "wJalrXUtnFEMI"),
    "Slack workflow": ("https://hooks.slack.com/workflows/T0/A0/1/abcdef", "A0/1/abcdef"),
    "Teams": (f"https://x.webhook.office.com/webhookb2/1@2/IncomingWebhook/{HEX[:32]}/3", HEX[:32]),
    "Telegram": ("https://api.telegram.org/bot123456789:AAHdqTcvCH1vGWJx/send", "AAHdqTcvCH1vGWJx"),
    "MySQL": ("mysql -u root -phunter2secret db", "hunter2secret"),
    "sshpass": ("sshpass -p hunter2 ssh x", "hunter2"),
    "docker login": ("docker login -u me -p hunter2 ghcr.io", "hunter2"),
    "docker's file": ('{"auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}}}', "dXNlcjpwYXNz"),
    "Kaggle's file": (f'{{"username": "me", "key": "{HEX[:32]}"}}', HEX[:32]),
    "wandb login": (f"wandb login {HEX[:40]}", HEX[:40]),
    "ngrok": ("ngrok authtoken 2abcDEFghi_klmnop", "2abcDEFghi_klmnop"),
    "Google client": (f"GOCSPX-{WORD}", WORD),
    "Google refresh": (f"1//0{WORD.lower()}abcdefgh", WORD.lower()),
    "key block cut off": (f"-----BEGIN PRIVATE KEY-----\n{WORD}\n{WORD}", WORD),
}

READABLE = [
    "num_tokens=5 max_tokens=4096 tokens_per_s=12034.5",
    "--tokenizer gpt2 --max-token-len 128 --token-dropout 0.1",
    "eos_token=</s> pad_token_id=50256 special_tokens_map.json",
    "attempts/1/logs/rank-00003.log:8812",
    "/home/me/.cache/huggingface/tokenizer.json",
    f"commit {HEX[:40]}",
    f"image sha256:{HEX} pulled, etag: W/{HEX[:32]}, revision {HEX[:12]}-dirty",
    "numpy-2.1.0.dist-info/METADATA,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,59",
    "run 0f8fad5b-d9cb-469f-a165-70867728950e on GPU-5c1e6a10-0000-4d2e-8f00-6a5b4c3d2e1f",
    "app ap-AbCdEfGhIj0123456789xY call fc-01KXYZABCDEFGHJKMNPQRSTV image im-9xYzAbCdEf0123456789Qw",
    "/tmp/torchinductor_me/ab/cabk3jx2lq4vbn7d6s5a4f3g2h1j0k9l8z7x6c5v4b3n2m1q.py",
    "/mnt/runs/aQ9zX3cV7bN1mK5jH8gF2dS4pL6oI0uY/step-100.pt",
    "https://wandb.ai/me/p/runs/aQ9zX3cV7bN1mK5jH8gF2dS4",
    "ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)",
    "_ZN5torch8autograd6Engine17evaluate_functionERSt10shared_ptrINS0_9GraphTaskEEPNS0_4NodeE",
    "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1",
    "meta-llama/Meta-Llama-3.1-70B-Instruct-FP8 Qwen3-30B-A3B-Instruct-2507-FP8",
    "Conv2dBiasFollowedByBatchNorm2dPattern and DeviceGemmMultiD_Xdl_CShuffle_V3",
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
    f"wandb: git commit {HEX[:40]}, version 0.17.0; use `wandb login --relogin`",
    f"ghcr.io/o/img@sha256:{HEX}",
    "forward_pass=12.5ms, bypass=true, --pass-through x, Applying pass: remove_noop_ops",
    "MISSING_KEY=model.layers.0.self_attn.q_proj.weight CACHE_KEY=fab0123456789klmnop",
    "cookiecutter==2.1, mysqlclient 2.2.0 -p, docker run -p 8080:80 img",
    "kernel signature: triton_poi_fused_add_0, https://user@bitbucket.org/x, ssh://git@github.com/o/r",
    "export PATH=/a:/b; PWD=/root; set -x NCCL_DEBUG INFO",
    "SSH_AUTH_SOCK=/tmp/ssh-XXXX1234567/agent.123 https://x.io/?key=12&x=1",
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
        "auths": {"ghcr.io": {"auth": "dXNlcjpwYXNz"}, "kaggle": {"username": "me", "key": "abc"}},
        "key": "a",
    }
    assert redact_value(data) == {
        "a": [{"HF_TOKEN": HIDDEN, "n": 3}],
        "text": f"PASSWORD={HIDDEN}",
        "none": None,
        "TOKEN": "",
        "auths": {"ghcr.io": {"auth": HIDDEN}, "kaggle": {"username": "me", "key": HIDDEN}},
        "key": "a",
    }


def test_a_long_text_takes_no_long_time() -> None:
    for piece in ("a-", "token", "=", "://", "x" * 50 + "_key", "'", "--password ", "-----BEGIN KEY-----"):
        redact(piece * (40_000 // len(piece)))


def test_most_words_drawn_at_random_are_known_as_such_and_none_of_our_own() -> None:
    """Of 32 characters; and of everything that lies in the cases' logs none."""
    draw = Random(8)
    drawn = ["".join(draw.choices(ascii_letters + digits, k=32)) for _ in range(500)]
    assert sum(map(is_random, drawn)) > 470
    logs = [*(Path(__file__).parent.parent / "cases").glob("*/bundle/attempts/*/logs/launcher.log")]
    assert len(logs) > 50
    assert not [text[start:end] for path in logs for text in [path.read_text()] for start, end in words(text)]
