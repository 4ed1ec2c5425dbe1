"""Claims in words: labels in place of row ids, the unit of what is compared."""

import pytest

from tisdiss.analysis.sentence import labels, sentence

NAMED = {"a": "base", "b": "fine-tuned at re1×6", "c": "control"}


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("row('b') > row('a')", '"fine-tuned at re1×6" has a higher SI-SNRi than "base".'),
        (
            "row('b').sdri(n_re=6) < row('a').sdri(n_re=6)",
            '"fine-tuned at re1×6" has a lower SDRi than "base" at N_re = 6.',
        ),
        (
            "row('a').si_snri(n_re=2) > row('c').si_snri(n_re=1)",
            '"base" at N_re = 2 has a higher SI-SNRi than "control" at N_re = 1.',
        ),
        (
            "row('a').si_snri(n_re=1..6) > row('c').si_snri(n_re=1..6)",
            '"base" has a higher SI-SNRi than "control" on average over N_re = 1 to 6.',
        ),
        (
            "row('b') > max(row('a'), row('c'))",
            '"fine-tuned at re1×6" has a higher SI-SNRi than each of "base" and "control".',
        ),
        (
            "max(row('a'), row('c')) < row('b')",
            'Each of "base" and "control" has a lower SI-SNRi than "fine-tuned at re1×6".',
        ),
        (
            "max(row('a'), row('c')) > row('b')",
            'The highest SI-SNRi of "base" and "control" is above the SI-SNRi of '
            '"fine-tuned at re1×6".',
        ),
        (
            "row('b') > row('a') > row('c')",
            '"fine-tuned at re1×6" has a higher SI-SNRi than "base"; '
            '"base" has a higher SI-SNRi than "control".',
        ),
        ("gain(row('a'), n_re=4..10) < 0", '"base" loses SI-SNRi from N_re = 4 to 10.'),
        (
            "gain(row('a'), n_re=3..6) > max(gain(row('b'), n_re=3..6), gain(row('c'), n_re=3..6))",
            'The gain in SI-SNRi of "base" from N_re = 3 to 6 is above the gain in SI-SNRi of '
            'each of "fine-tuned at re1×6" and "control" from N_re = 3 to 6.',
        ),
        (
            "mono(row('a').si_snri, n_re=1..6)",
            'Every further pass raises the SI-SNRi of "base", from N_re = 1 to 6.',
        ),
        (
            "approx(row('a'), row('c'), 0.1)",
            'The SI-SNRi of "base" and "control" differs by less than 0.1 dB.',
        ),
        (
            "spread(row('a'), row('b'), row('c')) < 0.2",
            'The SI-SNRi of "base", "fine-tuned at re1×6" and "control" differs by less than '
            "0.2 dB.",
        ),
        (
            "approx(row('a') - row('c'), 1, 0.3)",
            'The SI-SNRi of "base" minus the SI-SNRi of "control" is within 0.3 dB of 1 dB.',
        ),
        (
            "row('a') - row('c') < 0.5",
            '"base" is less than 0.5 dB above "control" in SI-SNRi.',
        ),
        (
            "row('a') - row('b') < 0.6 * (row('a') - row('c'))",
            'The SI-SNRi of "base" minus the SI-SNRi of "fine-tuned at re1×6" is below 0.6 times '
            '(the SI-SNRi of "base" minus the SI-SNRi of "control").',
        ),
        (
            "params(row('a')) < params(row('b')) and "
            "macs(row('a'), n_re=3) < macs(row('b'), n_re=3)",
            '"base" has fewer parameters than "fine-tuned at re1×6"; "base" has fewer '
            'multiply-adds than "fine-tuned at re1×6" at N_re = 3.',
        ),
        (
            "approx(macs(row('a'), n_re=4), macs(row('b'), n_re=2), 1)",
            'The number of multiply-adds of "base" at N_re = 4 and "fine-tuned at re1×6" at '
            "N_re = 2 differs by less than 0.001 GMAC/s.",
        ),
        (
            "params(row('a')) < 0.5 * min(params(row('b')), params(row('c')))",
            'The number of parameters of "base" is below 0.5 times the lowest number of parameters '
            'of "fine-tuned at re1×6" and "control".',
        ),
    ],
)
def test_expression_in_words(expr, expected):
    assert sentence(None, expr, NAMED) == expected


def test_the_sentence_of_the_study_comes_first_with_labels_as_tables_print_them():
    said = sentence("sep1x2  gains\nfrom depth", "row('a') > row('b')", NAMED)
    assert said == "sep1×2 gains from depth"


def test_rows_have_their_labels_without_a_dagger_and_with_their_corpus(study_folder):
    folder = study_folder()
    for corpus in ("noisy", "large"):
        sizes = {"test_manifest": corpus, "corpus": corpus, "label": "sep1x2"}
        folder.row(f"{corpus}-a", {3: 5.0}, **sizes)
    folder.plan["rows"][0]["scored_seeds"] = []
    quoted = {"id": "other", "label": "X", "source": "Table 2, from [5]", "corpus": "noisy"}
    plan = folder.study.updated(
        corpora={name: {"source": name} for name in ("noisy", "large")},
        published=[quoted | {"published": {}}],
    )
    assert labels(plan) == {
        "noisy-a": "sep1×2, noisy",
        "large-a": "sep1×2, large",
        "other": "X [5], noisy",
    }
