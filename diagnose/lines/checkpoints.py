"""That a checkpoint is being saved, or has been: trainers, Megatron, DeepSpeed, torchtitan, torchtune, NeMo.

>>> from diagnose.messages import said
>>> said("Saving model checkpoint to /ckpt/checkpoint-500", LINES)
('checkpoint.begun', {'text': 'Saving model checkpoint to /ckpt/checkpoint-500'})
>>> said("  successfully saved checkpoint from iteration    5000 to /ckpt", LINES)
('checkpoint.saved', {'text': 'saved checkpoint from iteration    5000 to /ckpt'})
"""

import re

from diagnose.messages import line

EVENTS = {
    "checkpoint.begun": "somebody saves a checkpoint, or is at it; data: text",
    "checkpoint.saved": "a checkpoint has been saved; data: text",
}
REST = r".{0,160}"
WHAT = r"(?:checkpoint|model|state[ _]dict|weights|optimizer)"
BEGUN = (
    *("etrieving full model state dict", "etrieving optimizer state dict", "onsolidating state dict"),
    *("[Torch] Saving", "athering state dict", "cheduled async checkpoint save"),
)
SAVED = (
    *("aved checkpoint", "heckpoint saved", "[Torch] Saved", "aving checkpoint took", "inished saving"),
    *("odel weights saved", "saved successfully", "inalized successfully", "onfiguration saved in"),
)
LINES = (
    line(
        "checkpoint.begun",
        "aving ",
        rf"(?P<text>\b[Ss]aving (?:\w{{1,20}} ){{0,3}}{WHAT}\b(?! took){REST})",
    ),
    *(line("checkpoint.begun", word, rf"(?P<text>\w?{re.escape(word)}{REST})") for word in BEGUN),
    *(line("checkpoint.saved", word, rf"(?P<text>\w?{re.escape(word)}{REST})") for word in SAVED),
)
