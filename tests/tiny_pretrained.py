"""Small pretrained encoders of every kind that is taken, made with transformers in the test."""

import warnings

import pytest

VOCABULARY = 320
TEXTS = ["red running shoe", "Damen Laufschuhe Gr. 39", "blue cotton shirt", "Roman von 1920",
         "en0x1 w3 w7", "de2x4 w1 w2 w30", "ja3x7 w9", "犬用 首輪 S"] * 30  # fmt: skip
COMMON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 48, "max_position_embeddings": 66}  # fmt: skip
OWN = {
    "albert": {"embedding_size": 16},
    "distilbert": {
        "max_position_embeddings": 66,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
    },
    "electra": {"embedding_size": 16},
    "eurobert": {"num_key_value_heads": 2, "head_dim": 8},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 16},
    "mpnet": {"pad_token_id": 1},
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 16},
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def make_tokenizer(vocabulary=VOCABULARY):
    """Byte-level BPE with a token before and one after every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False, min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(TEXTS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def make_model(kind="bert", head=False, **changes):
    """A model of transformers with random weights, or one with a head for masked words."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(7)
    size = OWN[kind] if kind == "distilbert" else {**COMMON, **OWN.get(kind, {})}
    special = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2,
               "sep_token_id": 3}  # fmt: skip
    config = transformers.CONFIG_MAPPING[kind](
        **{"vocab_size": VOCABULARY, **special, **size, **changes}
    )
    auto = transformers.AutoModelForMaskedLM if head else transformers.AutoModel
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = auto.from_config(config).eval()
    with torch.no_grad():  # far enough apart that vectors differ between texts
        for weight in model.parameters():
            weight.add_(0.15 * torch.randn_like(weight))
    return model


def make_folder(path, kind="bert", head=False, shards=None, **changes):
    """Folder of a model and a tokenizer."""
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    model = make_model(kind, head, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(path, **({} if shards is None else {"max_shard_size": shards}))
    make_tokenizer().save(str(path / "tokenizer.json"))
    return path


TUNINGS = {
    "frozen": {"kind": "frozen"},
    "full": {"kind": "full", "rate": 0.5},
    "lora": {"kind": "lora", "rank": 4, "targets": ["query", "value"]},
}


def model_of(tune="full", **fields):
    """Model of a spec, tuned as a name of `TUNINGS` or a mapping says."""
    from trueness.spec.titles import Pretrained

    tune = tune if isinstance(tune, dict) else TUNINGS[tune]
    settings = {
        "kind": "pretrained",
        "of": "bert",
        "digest": "0" * 12,
        "head": "plain",
        "tune": tune,
        **fields,
    }
    return Pretrained.model_validate(settings)


def built(tune, source, **fields):
    """Its network for three classes, always the same."""
    import torch

    from trueness.models.pretrained import build_pretrained

    return build_pretrained(model_of(tune, **fields), source, 3, torch.Generator().manual_seed(0))
