"""Cases of the preprocessing layers on text and numbers."""

from registry import add, case, error
from tensors import ints, mask, vals, x

TEXTS = vals([["The cat sat, on THE mat."], ["dog & cat!  run"], [""], ["a\tb  c the"]])
FLAT = vals(["The cat sat, on THE mat.", "dog & cat!  run", "", "a\tb  c the"])
OTHER = vals([["The dog ran."], ["unseen words here, the cat"]])
WORDS = ["the", "cat", "dog", "run"]


def text(name, args=None, inputs=TEXTS, **options):
    return case(name, args or {}, inputs, grad=False, **options)


add(
    "TextVectorization",
    text("adapted", adapt=TEXTS),
    text("adapted_vector", inputs=FLAT, adapt=FLAT),
    text("other_texts", inputs=OTHER, adapt=TEXTS),
    text("max_tokens", dict(max_tokens=6), adapt=TEXTS),
    text("lower", dict(standardize="lower"), adapt=TEXTS),
    text("strip_punctuation", dict(standardize="strip_punctuation"), adapt=TEXTS),
    text("no_standardize", dict(standardize=None), adapt=TEXTS),
    text("character", dict(split="character"), adapt=TEXTS),
    text("no_split", dict(split=None), adapt=TEXTS),
    text("ngrams", dict(ngrams=2), adapt=TEXTS),
    text("ngrams_character", dict(ngrams=3, split="character", max_tokens=20), adapt=TEXTS),
    text("sequence_length", dict(output_sequence_length=3), adapt=TEXTS),
    text("sequence_length_long", dict(output_sequence_length=9, vocabulary=WORDS)),
    text("vocabulary", dict(vocabulary=WORDS)),
    text("vocabulary_with_special", dict(vocabulary=["", "[UNK]"] + WORDS)),
    text("multi_hot_padded", dict(output_mode="multi_hot", max_tokens=16, pad_to_max_tokens=True),
         adapt=TEXTS),
    # A config without a vocabulary freezes its size in Keras, so adapted ones are padded.
    text("count_padded", dict(output_mode="count", ngrams=2, max_tokens=9,
                              pad_to_max_tokens=True), adapt=TEXTS),
    text("count_vocabulary", dict(output_mode="count", vocabulary=WORDS)),
    text("multi_hot_vocabulary", dict(output_mode="multi_hot", vocabulary=WORDS)),
    text("tf_idf_padded", dict(output_mode="tf_idf", max_tokens=14, pad_to_max_tokens=True),
         adapt=TEXTS),
    text("tf_idf_vocabulary", dict(output_mode="tf_idf", vocabulary=WORDS,
                                   idf_weights=[0.5, 0.25, 1.5, 2.0])),
    text("unicode", dict(vocabulary=["h\u00e9llo", "\u4e16\u754c"]),
         vals([["H\u00e9llo \u4e16\u754c"], ["H\u00c9LLO h\u00e9llo!"]])),
    text("legacy", adapt=TEXTS, keras="2.15"),
    error("max_tokens_1", {}, TEXTS, override={"max_tokens": 1}),
    error("output_mode_unknown", {}, TEXTS, override={"output_mode": "hot"}),
    error("standardize_unknown", {}, TEXTS, override={"standardize": "upper"}),
    error("split_unknown", {}, TEXTS, override={"split": "comma"}),
    error("repeated_word", {}, TEXTS, override={"vocabulary": ["a", "b", "a"]}),
    error("no_vocabulary", dict(output_mode="multi_hot"), TEXTS),
)

add(
    "Normalization",
    case("adapted", {}, x(4, 3), adapt=x(9, 3, low=-2, high=7)),
    case("adapted_rank_3", {}, x(2, 5, 3), adapt=x(4, 5, 3, high=3)),
    case("adapted_invert", dict(invert=True), x(4, 3), adapt=x(9, 3, low=-2, high=7)),
    case("adapted_none", dict(axis=None), x(4, 3), adapt=x(9, 3, low=-2, high=7)),
    case("adapted_axis_1", dict(axis=1), x(2, 4, 3), adapt=x(5, 4, 3)),
    case("adapted_two_axes", dict(axis=(1, 2)), x(2, 4, 3), adapt=x(5, 4, 3)),
    case("adapted_axis_0", dict(axis=0), x(4, 3), adapt=x(4, 3, high=5), shapes=False),
    case("adapted_vector", {}, x(4), adapt=x(4, high=5), shapes=False),
    case("adapted_constant", {}, x(2, 3), adapt=vals([[1.0, 2.0, 3.0], [1.0, 2.5, 3.0]])),
    case("given", dict(mean=[1.0, -0.5, 2.0], variance=[4.0, 0.25, 1.5]), x(4, 3)),
    case("given_scalar", dict(mean=0.5, variance=2.0), x(4, 3)),
    case("given_scalar_none", dict(axis=None, mean=0.5, variance=2.0), x(4, 3)),
    case("given_invert", dict(mean=[1.0, -0.5], variance=[4.0, 0.25], invert=True), x(4, 2)),
    case("given_two_axes", dict(axis=[1, 2], mean=[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
                                variance=[[1.0, 0.5], [2.0, 0.25], [4.0, 0.125]]), x(2, 3, 2)),
    case("zero_variance", dict(mean=[1.0, 2.0], variance=[0.0, 1e-20]), x(3, 2)),
    case("integer_input", dict(mean=3.0, variance=4.0), ints(3, 4), grad=False),
    case("mask_passes", dict(mean=0.0, variance=4.0), x(2, 3, 4), masks=[mask(["110", "100"])]),
    case("float64", dict(mean=[1.0, -0.5], variance=[4.0, 0.3]), x(4, 2), dtype="float64"),
    case("unknown_dims", dict(mean=0.5, variance=2.0), x(2, 5, 3), unknown=[[0, 1]]),
    case("legacy", dict(mean=[1.0, -0.5], variance=[4.0, 0.3]), x(4, 2), keras="2.15"),
    error("mean_alone", dict(mean=1.0, variance=1.0), x(4, 3), override={"variance": None}),
    error("axis_out_of_range", {}, x(4, 3), override={"axis": [3]}),
    error("shapes_differ", {}, x(4, 3), override={"mean": [1.0, 2.0], "variance": [1.0]}),
)
