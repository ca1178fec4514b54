"""The cheap half of redaction: most text is settled without loading `re` (which a rank may not have yet)."""

# Every pattern below needs one of these in the text: most text is settled without running any of them.
HINTS = tuple(
    [
        "secret",
        "token",
        "passw",
        "passphrase",
        "pwd",
        "credential",
        "authorization",
        "cookie",
        "bearer",
        "signature",
        "sig=",
        "connection",
        "_key",
        "-key",
        ".key",
        "apikey",
        "accesskey",
        "secretkey",
        "privatekey",
        "accountkey",
        "signingkey",
        "encryptionkey",
        "sshkey",
        "sharedkey",
        "masterkey",
        "storagekey",
        "authkey",
        "deploykey",
        "licensekey",
        "key-",
        "key=",
        "code=",
        "x-amz",
        "x-goog",
        "://",
        "-----begin",
        "eyj",
        "sk-",
        "sk_",
        "rk_",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
        "github_pat_",
        "glpat-",
        "hf_",
        "xox",
        "akia",
        "asia",
        "aiza",
        "ya29.",
        "npm_",
        "pypi-",
        "sg.",
        "nvapi-",
        "ak-",
        "as-",
        "gsk_",
        "r8_",
        "dop_v1_",
        "dapi",
        "hvs.",
        "hvb.",
        "dckr_pat_",
        "glsa_",
        "glc_",
        "sntry",
        "lin_api_",
        "shp",
        "tskey-",
        "rpa_",
        "wandb_v1_",
        "xapp-",
        "curl",
        "-user",
        "_auth",
        "_dsn",
        "pass=",
        "_pass",
        "-pass",
        "--pw",
        "headers",
        "gocspx-",
        "1//0",
        ":aa",
        "thin:",
        "sshpass",
        "mysql",
        "mariadb",
        "login",
        "wandb",
        '"auth"',
        "'auth'",
        "'key'",
        '"key"',
    ]
)
LONG = 24  # characters of a word that may be one drawn at random
_SPACES = {n: " " for n in range(128) if not (chr(n).isalnum() or chr(n) in "+/_-")}


def may_hold_secret(text: str) -> bool:
    """False only where `redact` would return the text unchanged."""
    return has_hint(text) or bool(long_words(text))


def has_hint(text: str) -> bool:
    """Whether a name or a maker's mark in it calls for a closer look."""
    low = text.lower()
    return any([hint in low for hint in HINTS])


def long_words(text: str) -> "list[str]":
    """Long words with letters of both cases."""
    if len(text) < LONG:
        return []
    found = [word for word in text.translate(_SPACES).split() if len(word) >= LONG and word[0] not in "/-"]
    return [word for word in found if word != word.lower() and word != word.upper()]
