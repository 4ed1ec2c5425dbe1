"""The order in which differing facts are told."""

from tisdiss.harness.diff import Difference
from tisdiss.harness.reproduction.causes import causes


def test_the_likeliest_cause_comes_first_and_what_is_unknown_is_none():
    found = [
        Difference("config", "seed", 0, 1),
        Difference("data", "training", "a", "b"),
        Difference("data", "parent_weights", None, "b"),
        Difference("environment", "platform", "x", "y"),
        Difference("environment", "threads", 1, 2),
        Difference("environment", "cpu", "x", "y"),
        Difference("environment", "capability", None, "AVX2"),
        Difference("packages", "rich", "1", "2"),
        Difference("packages", "numpy", "2.4.5", "2.4.6"),
        Difference("packages", "nvidia-cudnn-cu13", "9", None),
        Difference("code", "git.commit", "a", "b"),
        Difference("code", "code_files.train.py", "a", "b"),
        Difference("result", "best_val", 1.0, 2.0),
        Difference("scores", "si_snri.re1", 1.0, 2.0),
    ]
    assert [f"{each.part} {each.what}" for each in causes(found)] == [
        "data training",
        "code code_files.train.py",
        "packages numpy",
        "packages nvidia-cudnn-cu13",
        "environment threads",
        "environment cpu",
        "packages rich",
        "environment platform",
        "code git.commit",
    ]


def test_a_run_without_a_list_of_packages_differs_in_none():
    assert causes([Difference("packages", "number", None, 185)]) == []
