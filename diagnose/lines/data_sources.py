"""Clients of remote data that ask again, because nobody answered them.

>>> from diagnose.messages import said
>>> said("Read timed out. (read timeout=10)')' thrown while requesting GET https://hub.example/data/7.parquet", LINES)
('source.retried', {'text': 'thrown while requesting GET https://hub.example/data/7.parquet'})
"""  # noqa: E501

from diagnose.messages import line, whole_match

EVENTS = {"source.retried": "a client got no answer from remote data and asks again; data: text"}
LINES = tuple(
    line("source.retried", word, text, data=whole_match)
    for word, text in (
        ("thrown while requesting", r"thrown while requesting (?:GET|HEAD) \S{1,300}"),
        ("Retrying (Retry(", r"Retrying \(Retry\(.{1,200}?\)\) after connection broken by .{1,100}"),
        ("Retry ", r"Retrying in [\d.]{1,9} ?s(?:econds)? \[Retry \d{1,4}/\d{1,4}\]"),
        ("Read timeout on endpoint URL", r"Read timeout on endpoint URL: .{1,200}"),
    )
)
