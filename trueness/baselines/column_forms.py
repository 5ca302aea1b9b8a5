"""What models on columns leave behind, by the name that a bundle knows it by."""

from trueness.baselines.arrays import Boosting, Forest, Linear
from trueness.baselines.catboost_trees import CatBoost
from trueness.baselines.fitted import Constant, Fitted, LightGBM, XGBoost
from trueness.baselines.foreign import Foreign

FORMS: dict[str, type[Fitted]] = {
    one.form: one
    for one in (Constant, Linear, Forest, Boosting, LightGBM, XGBoost, CatBoost, Foreign)
}
"""Every form by its name."""
