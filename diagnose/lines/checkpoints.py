"""That a checkpoint is being saved, or has been: trainers, Megatron, DeepSpeed, torchtitan, torchtune, NeMo.

>>> from diagnose.messages import said
>>> said("Saving model checkpoint to /ckpt/checkpoint-500", LINES)
('checkpoint.begun', {'text': 'Saving model checkpoint to /ckpt/checkpoint-500'})
>>> said("  successfully saved checkpoint from iteration    5000 to /ckpt", LINES)
('checkpoint.saved', {'text': 'saved checkpoint from iteration    5000 to /ckpt'})
"""

from diagnose.messages import line

EVENTS = {
    "checkpoint.begun": "somebody saves a checkpoint, or is at it; data: text",
    "checkpoint.saved": "a checkpoint has been saved; data: text",
}
REST = r".{0,160}"
BEGUN = (
    *("aving model checkpoint", "aving checkpoint", "aving the checkpoint", "aving full checkpoint"),
    *(
        "aving model weights",
        "aving final model",
        "aving sharded",
        "aving optimizer state",
        "aving state dict",
    ),
    *("etrieving full model state dict", "etrieving optimizer state dict", "onsolidating state dict"),
    *("[Torch] Saving", "athering state dict", "cheduled async checkpoint save"),
)
SAVED = (
    *("aved checkpoint", "heckpoint saved", "[Torch] Saved", "aving checkpoint took", "inished saving"),
    *("odel weights saved", "saved successfully", "inalized successfully", "onfiguration saved in"),
)
LINES = (
    *(
        line("checkpoint.begun", word, rf"(?P<text>\w?{word.replace('[', chr(92) + '[')}(?! took)\b{REST})")
        for word in BEGUN
    ),
    *(
        line("checkpoint.saved", word, rf"(?P<text>\w?{word.replace('[', chr(92) + '[')}\b{REST})")
        for word in SAVED
    ),
)
