"""Losses: pure functions of logits, one value per example, in one table per task.

`binary` holds those of one logit (``LOSSES``), `multiclass` those of K logits
(``CLASSIFICATION``), `contrastive` those of points on a sphere, and `groups` what weighs texts by
language and class. Names are imported from the module that owns them.
"""
