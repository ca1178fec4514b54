"""Hides secrets in text: by the name before them, their own shape, in URLs and key blocks, by randomness."""

import re
from functools import lru_cache

from .hints import has_hint, long_words
from .randomness import is_random, words

HIDDEN = "<redacted>"

_KEYS = (
    r"(?:api|access|secret|private|account|encryption|signing|ssh|shared|master|storage|auth|deploy|license)"
)
_SURE = (
    rf"(?:secret(?!s?[_-]?(?:name|path|file|id)\b)|passw(?:or)?d|passphrase|[_-]pwd|credentials?|authorization"
    rf"|cookie(?![-_]?cutter)|{_KEYS}[_.-]?key(?:[_-]?id)?|signature(?!:\s)|connection[_-]?string"
    r"|otlp_(?:\w{1,20}_)?headers|(?:db|smtp|mail|user|root|admin|redis|mysql|pg|ftp|ssh|proxy|login)[_-]?pass(?![A-Za-z]))"
)
# A token of text is not a secret: tokenizer, num_tokens, pad_token, token_ids.
_TOKEN = (
    r"(?:(?<!pad[_-])(?<!eos[_-])(?<!bos[_-])(?<!unk[_-])(?<!sep[_-])(?<!cls[_-])(?<!mask[_-])(?<!special[_-])"
    r"(?<!num[_-])(?<!per[_-])(?<!next[_-])(?<!image[_-])(?<!stop[_-])token)"
)
_QUOTED = (
    r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'"
    r"|\\{1,3}\"[^\"\\\n]*\\{1,3}\""  # in a text that is quoted itself
)
_BEFORE, _EQUALS = r"(?<![A-Za-z0-9])([A-Za-z0-9_.-]{0,60}?", r"\\{0,3}[\"']?\s{0,3}(?:=>?|:(?!:))\s{0,3})"
_PLAIN = r"[^\s,;&(){}\[\]\"'|]+"

_BY_NAME = re.compile(rf"{_BEFORE}{_SURE}[A-Za-z0-9_-]{{0,30}}{_EQUALS}({_QUOTED}|{_PLAIN})", re.I)
_BY_TOKEN = re.compile(rf"{_BEFORE}{_TOKEN}{_EQUALS}({_QUOTED}|{_PLAIN})", re.I)
_BY_FLAG = re.compile(
    rf"(?<![^\s:\]])(--?[A-Za-z0-9_.-]{{0,60}}?(?:{_SURE}[A-Za-z0-9_-]{{0,30}}|{_TOKEN})\s+)(?!-)({_QUOTED}|[^\s]+)",
    re.I,
)
# A variable of the environment, by the end of its name: so long a value is no key of a table or a cache.
_VARIABLE = (
    r"(?-i:(?<![A-Za-z0-9])[A-Z][A-Z0-9_]{0,60}_(?:AUTH|DSN|(?<!CACHE_)(?<!PRIMARY_)(?<!FOREIGN_)(?<!PUBLIC_)"
    r"(?<!SORT_)(?<!HASH_)(?<!INDEX_)(?<!CONFIG_)(?<!MODEL_)(?<!DATA_)KEY))"
)
_BY_VARIABLE = re.compile(
    rf"({_VARIABLE}[\"']?\s{{0,2}}[=:]\s{{0,2}}[\"']?)(?=[^\s\d]{{0,200}}\d)([^\s.,;&(){{}}\[\]\"'|]{{16,}})"
    r"(?=[\s,;&(){}\[\]\"'|]|\Z)"
)
_SET = re.compile(
    rf"(\bset(?:x|\s-\w{{1,3}})\s{{1,3}}\w{{0,60}}?(?:{_SURE}|{_TOKEN})\w{{0,30}}\s{{1,3}})({_QUOTED}|\S+)",
    re.I,
)
_FLAG_PASS = re.compile(rf"(?<![^\s:\]])(--(?:pass|pw|pwd)(?:=|\s{{1,3}}))(?!-)({_QUOTED}|\S+)")
_NAME = re.compile(rf"(?:{_SURE}|{_TOKEN}$|{_VARIABLE}$|^auth$)", re.I)
_HARMLESS = re.compile(r"[\"']?(?:true|false|none|null|yes|no|on|off|[01]|\.{3}|\*+|<[^>]*>|)[\"']?,?", re.I)
_SHORT = re.compile(r"[\"']?(?:[-+]?[\d.]+|.{0,7})[\"']?")

_SHAPES = re.compile(
    "|".join(
        [
            r"-----BEGIN [A-Z ]{0,40}KEY[A-Z ]{0,10}-----.*?(?:-----END [A-Z ]{0,40}KEY[A-Z ]{0,10}-----|\Z)",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
            r"\bsk-[A-Za-z0-9_-]{16,}",
            r"\b[sr]k_(?:live|test)_[A-Za-z0-9]{10,}",
            r"\bgh[pousr]_[A-Za-z0-9]{16,}",
            r"\bgithub_pat_\w{20,}",
            r"\bglpat-[\w-]{16,}",
            r"\bhf_[A-Za-z0-9]{16,}",
            r"\bxox[abeprs]-[\w-]{10,}",
            r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
            r"\bAIza[\w-]{30,}",
            r"\bya29\.[\w-]{10,}",
            r"\bnpm_[A-Za-z0-9]{30,}",
            r"\bpypi-[\w-]{30,}",
            r"\bSG\.[\w-]{16,}\.[\w-]{16,}",
            r"\bnvapi-[\w-]{20,}",
            r"\bgsk_[A-Za-z0-9]{20,}",
            r"\br8_[A-Za-z0-9]{20,}",
            r"\bdop_v1_[a-f0-9]{30,}",
            r"\ba[ks]-[A-Za-z0-9]{20,}",
            r"\bkey-[0-9a-f]{32}\b",
            r"\bdapi[0-9a-f]{32}",
            r"\bhv[sb]\.[\w-]{20,}",
            r"\bdckr_pat_[\w-]{20,}",
            r"\bgl(?:sa|c)_[\w=+/-]{20,}",
            r"\bsntry[su]_[\w=+/.-]{20,}",
            r"\blin_api_\w{20,}",
            r"\bshp(?:at|ca|pa|ss)_[a-f0-9]{30,}",
            r"\btskey-[\w-]{16,}",
            r"\bAGE-SECRET-KEY-1[A-Z0-9]{30,}",
            r"\bxapp-[\w-]{20,}",
            r"\brpa_[A-Z0-9]{20,}",
            r"\bwandb_v1_\w{20,}",
            r"\bGOCSPX-[\w-]{20,}",
            r"\b1//0[\w-]{30,}",
            r"\b\d{8,12}:AA[\w-]{30,}",
        ]
    ),
    re.S,
)
_NUMBERS = (int, float, type(None))
_BEARER = re.compile(r"\b(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.I)
_BASIC = re.compile(
    r"\b(Authorization[\"']?\s*[:=]\s*[\"']?(?:Basic|Token|Digest|ApiKey)\s+)[^\s\"',]+", re.I
)
_USERINFO = re.compile(
    r"(://)(?:[^\s/@:\"'<>]{0,200}:[^\s/@\"'<>]{1,200}(?:@[^\s/@:\"'<>]{1,50}(?=@))?|[^\s/@:\"'<>]{16,200}"
    r"|(?<=https://)[^\s/@:\"'<>]{8,200})@"
)
_HOOK = re.compile(
    r"(https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/webhooks"
    r"|[\w.-]{1,100}\.webhook\.office\.com)/|api\.telegram\.org/bot)[^\s\"'/][^\s\"']*"
)
_COOKIE = re.compile(r"\b((?:Set-)?Cookie: )[^\n\"']+", re.I)
_NETRC = re.compile(r"\b(machine\s{1,8}\S{1,200}\s{1,8}login\s{1,8}\S{1,200}\s{1,8}password\s{1,8})\S+")
_CURL = re.compile(
    r"((?:\bcurl\b[^\n]{0,300}?\s-u|\s--(?:proxy-)?user)[= ]\s{0,3}[\"']?[^\s:\"']{1,100}:)[^\s\"']+"
)
# What only its place tells: the words of a command, a key beside its user's name.
_PLACED = re.compile(
    r"(\b(?:mysql(?:dump|admin)?|mariadb|sshpass|(?:docker|podman)\s+login)\b[^\n]{0,200}?\s-p\s?(?![-\s,])"
    r"|\bauthtoken\s{1,3}|:thin:[^\s/@:]{1,60}/(?=[^\s@]{1,60}@)|;\s?[Pp]wd=|[\"']auth[\"']:\s?[\"']"
    r"|[\"']username[\"']:\s?[\"'][^\"'\n]{1,60}[\"'],\s?[\"']key[\"']:\s?[\"'])[^\s\"'@;]+"
)
_WANDB = re.compile(r"(\bwandb\b[^\n]{0,80}?\b(?:login|key|netrc)\b[^\n]{0,60}?)\b[0-9a-f]{40}\b")
_QUERY = re.compile(
    r"([?&](?:sig|(?:key|code)(?==[^\s&\"'#]{8})|token|x-amz-[a-z-]{1,30}|x-goog-[a-z-]{1,30})=)[^\s&\"'#]+",
    re.I,
)


def _named(match: "re.Match[str]") -> str:
    value = match.group(2)
    return match.group(0) if _HARMLESS.fullmatch(value) else match.group(1) + _in_quotes(value)


def _token(match: "re.Match[str]") -> str:
    value = match.group(2)
    if _HARMLESS.fullmatch(value) or _SHORT.fullmatch(value):
        return match.group(0)
    return match.group(1) + _in_quotes(value)


def _in_quotes(value: str) -> str:
    quote = value[: len(value) - len(value.lstrip("\\")) + 1] if value[0] in "\"'\\" else ""
    quote = quote if quote[-1:] in ("'", '"') and value.endswith(quote) and len(value) > len(quote) else ""
    return quote + HIDDEN + quote


def redact(text: str) -> str:
    """The text with every secret replaced by HIDDEN; the same text again where there is none.

    >>> redact("login --password hunter2 --tokenizer gpt2 num_tokens=5 HF_TOKEN=hf_abcdefghijklmnopqrst")
    'login --password <redacted> --tokenizer gpt2 num_tokens=5 HF_TOKEN=<redacted>'
    >>> redact("postgres://me:pw@db/x")
    'postgres://<redacted>@db/x'
    """
    if has_hint(text):
        text = _by_pattern(text)
    if any([is_random(word.replace("/", "")) for word in long_words(text)]):
        for start, end in reversed(words(text)):
            text = text[:start] + HIDDEN + text[end:]
    return text


def _by_pattern(text: str) -> str:
    text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
    text = _SHAPES.sub(HIDDEN, text)
    text = _BEARER.sub(rf"\1{HIDDEN}", text)
    text = _BASIC.sub(rf"\1{HIDDEN}", text)
    text = _HOOK.sub(rf"\1{HIDDEN}", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    text = _CURL.sub(rf"\1{HIDDEN}", _NETRC.sub(rf"\1{HIDDEN}", text))
    text = _WANDB.sub(rf"\1{HIDDEN}", _PLACED.sub(rf"\1{HIDDEN}", _COOKIE.sub(rf"\1{HIDDEN}", text)))
    for pattern in (_BY_FLAG, _FLAG_PASS, _SET, _BY_VARIABLE):
        text = pattern.sub(_named, text)
    return _BY_TOKEN.sub(_token, _BY_NAME.sub(_named, text))


def is_secret_name(name: str) -> bool:
    """Does a variable, key or flag of this name hold a secret?

    >>> [is_secret_name(n) for n in ("HF_TOKEN", "aws_secret_access_key", "tokenizer", "NCCL_DEBUG", "PWD")]
    [True, True, False, False, False]
    """
    return _NAME.search(name) is not None


def redact_argv(argv: "list[str]") -> str:
    """A command line as one text; a value in a word of its own is hidden whole, blanks and all."""
    words, hide = [], False
    for word in argv:
        words.append(HIDDEN if hide and not word.startswith("-") else word)
        hide = word.startswith("-") and "=" not in word and is_secret_name(word)
    return redact(" ".join(words))


_FEW = 200  # characters of a text that may come again: a name, a place in a program
_again = lru_cache(maxsize=1024)(redact)


def _is_secret(key: object, value: object, beside: "dict[object, object]") -> bool:
    if not (isinstance(key, str) and isinstance(value, (str, bytes)) and value):
        return False
    return is_secret_name(key) or (key == "key" and "username" in beside)


def redact_value(value: object) -> object:
    """The same for plain data: walks dicts, lists and texts; the value of a secret's name is hidden whole."""
    if isinstance(value, str):
        return _again(value) if len(value) <= _FEW else redact(value)
    if isinstance(value, dict):
        return {k: HIDDEN if _is_secret(k, v, value) else redact_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [one if type(one) in _NUMBERS else redact_value(one) for one in value]
    return value
