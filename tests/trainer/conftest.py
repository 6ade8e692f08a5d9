"""One thread for torch: the suite shares its cores, and single-threaded sums are repeatable."""

from importlib.util import find_spec

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)
else:
    collect_ignore_glob = [
        f"test_{name}.py" for name in ("model", "recorder", "train", "trainer_cli")
    ]  # the others need no torch
