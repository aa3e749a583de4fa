"""From the name of a model to its identity, and from that to a model that predicts.

Today every model is one of Hugging Face's; another backend is another branch of these functions.
"""

from __future__ import annotations

from functools import lru_cache

from mimic.depth.base import DepthModel, Device, MetricDepth
from mimic.errors import MimicError


def device_for(gpu_share: float, *, here: bool) -> Device:
    """Where depth is predicted: on a GPU where a share of one is asked for.

    ``here``: the work stays in this process, and takes its GPU if there is one. Workers that have
    asked Ray for none must not take one that others use, so all of them predict on the CPU.

    Raises:
        MimicError: the extra is not installed.
    """
    from mimic.depth import huggingface

    if gpu_share:
        return "cuda"
    return "cuda" if here and huggingface.has_gpu() else "cpu"


def model_at(address: str, device: Device, expected: str | None = None) -> DepthModel:
    """The identity of the model at a folder or of a hub name; its weights are read once.

    ``expected``: the SHA-256 that it must have.

    Raises:
        MimicError: the extra is not installed, there is no such model, it is not a metric one, or
            another one than expected.
    """
    from mimic.depth import huggingface

    model = huggingface.identify(address, device)
    if expected is not None and model.sha256 != expected:
        raise MimicError(
            f"--depth-model {address}: its SHA-256 is {model.sha256}, labels.depth_sha256 says "
            f"{expected}; name that model, or leave the sum out"
        )
    return model


@lru_cache(maxsize=1)
def opened(model: DepthModel) -> MetricDepth:
    """The model, ready to predict; the last one is kept, for the tasks of a worker.

    Raises:
        MimicError: what is here is another model, runs on other packages, or has no such device.
    """
    from mimic.depth import huggingface

    here = huggingface.identify(model.address, model.device)
    if here.sha256 != model.sha256:
        raise MimicError(
            f"--depth-model {model.address}: another model here ({here.sha256[:12]}) than where "
            f"the run was started ({model.sha256[:12]}); put the same one on every node"
        )
    for (package, ours), (_, theirs) in zip(here.versions, model.versions, strict=True):
        if ours != theirs:
            raise MimicError(
                f"--depth-model {model.address}: {package} is {ours} here and {theirs} where the "
                "run was started; install the same version on every node"
            )
    return huggingface.HuggingFaceDepth(model.address, model.device)
