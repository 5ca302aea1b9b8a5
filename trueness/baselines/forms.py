"""What models on titles leave behind, by the name that a bundle knows it by."""

from trueness.baselines.ngrams import FittedTitles, NGrams, Prior
from trueness.baselines.vectors import VectorClassifier

TITLES_FORMS: dict[str, type[FittedTitles]] = {
    one.form: one for one in (Prior, NGrams, VectorClassifier)
}
"""Every form by its name."""
