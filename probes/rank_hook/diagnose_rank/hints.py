"""The cheap half of redaction: most text is settled without loading `re` (which a rank may not have yet)."""

# Every pattern below needs one of these in the text: most text is settled without running any of them.
HINTS = (
    *("secret", "token", "passw", "passphrase", "pwd", "credential", "authorization", "cookie", "bearer"),
    *("_key", "-key", "apikey", "accesskey", "privatekey", "accountkey", "key-", "key\"", "keyid", "://"),
    *("-----begin", "eyj", "sk-", "sk_live", "sk_test", "rk_live", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    *("github_pat_", "glpat-", "hf_", "xox", "akia", "asia", "aiza", "ya29.", "npm_", "pypi-", "sg.", "nvapi-"),
    *("ak-", "as-", "gsk_", "r8_", "dop_v1_", "signature", "sig=", "connectionstring", "connection_string"),
)


def may_hold_secret(text: str) -> bool:
    """False only where `redact` would return the text unchanged."""
    low = text.lower()
    return any([hint in low for hint in HINTS])
