"""Metric depth by Hugging Face's depth-estimation models, from a folder or by hub name.

The only module that imports torch and transformers, and inside functions only: mining must not
pay for them. A model that lies here, or in the hub's cache, is never looked up elsewhere.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mimic.depth.base import DepthModel, Device
from mimic.errors import MimicError
from mimic.types import Matrix, UInt8Image

PACKAGES = ("torch", "torchvision", "transformers")
"""What decides the prediction beside the weights."""
METRIC_TYPES = frozenset({"depth_pro", "glpn", "zoedepth"})
"""Families that predict metres always. Of the others a model's own config must say so."""
SUGGESTION = "depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf"

_CONFIG = "config.json"
_READ = (_CONFIG, "preprocessor_config.json", "processor_config.json")
_WEIGHTS = "*.safetensors"
_INDEX = "model.safetensors.index.json"
_CHUNK = 1 << 20


def identify(address: str, device: Device) -> DepthModel:
    """What the model at an address is.

    Raises:
        MimicError: the extra is not installed, there is no such model, or it is not metric.
    """
    _check_installed()
    folder = _folder_of(address)
    _check_metric(address, folder)
    versions = [*((name, version(name)) for name in PACKAGES), ("depth_device", device)]
    name = folder.name if Path(address).expanduser().is_dir() else address
    return DepthModel(name, address, _sha256(address, folder), device, tuple(versions))


def has_gpu() -> bool:
    """Whether this process sees a CUDA device."""
    _check_installed()
    import torch

    return bool(torch.cuda.is_available())


class HuggingFaceDepth:
    """A model that is loaded; see :class:`mimic.depth.base.MetricDepth`.

    One thread of the CPU, or the whole of one GPU, always in float32 and one picture at a time: so
    the prediction does not depend on the machine's cores, on what else is predicted, or on order.

    Raises:
        MimicError: its files are damaged or incomplete, or the device is not there.
    """

    def __init__(self, address: str, device: Device) -> None:
        import torch

        if device == "cuda" and not torch.cuda.is_available():
            seen = os.environ.get("CUDA_VISIBLE_DEVICES", "not set")
            raise MimicError(
                f"--depth-model {address}: torch sees no GPU here (CUDA_VISIBLE_DEVICES: {seen}); "
                "leave run.gpu_share at 0 to predict on the CPU"
            )
        torch.set_num_threads(1)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        self._device = device
        self._processor, self._model = _loaded(address, device)

    def predict(self, rgb: UInt8Image, intrinsics: Matrix | None = None) -> NDArray[np.float32]:
        """See :class:`mimic.depth.base.MetricDepth`; these models make no use of intrinsics."""
        import torch

        with torch.inference_mode():
            inputs = self._processor(
                images=rgb, return_tensors="pt", input_data_format="channels_last"
            )
            outputs = self._model(**inputs.to(self._device))
            found = self._at_size(outputs, rgb.shape[:2])
        depth_m = found.float().cpu().numpy()
        known = np.isfinite(depth_m) & (depth_m > 0)
        return np.where(known, depth_m, np.float32(0)).astype(np.float32)

    def _at_size(self, outputs: Any, size: tuple[int, ...]) -> Any:
        """The prediction (h, w) at the picture's own size, as the model's authors resize it."""
        resize = self._processor.post_process_depth_estimation
        sizes = {"target_sizes": [size]}
        if "source_sizes" in inspect.signature(resize).parameters:
            sizes["source_sizes"] = [size]
        return resize(outputs, **sizes)[0]["predicted_depth"]


def _check_installed() -> None:
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MimicError(
                f"--depth-model needs the package {package}, which is not installed: run "
                "pip install 'mimic[depth]'"
            )


def _folder_of(address: str) -> Path:
    """The files of the model: the folder itself, or the hub's cache, filled if need be."""
    folder = Path(address).expanduser()
    if folder.is_dir():
        return folder.absolute()
    if folder.is_absolute() or address.startswith((".", "~")):
        raise MimicError(f"--depth-model {address}: there is no such folder")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = [*_READ, _INDEX, _WEIGHTS]
    try:
        cached = Path(snapshot_download(address, allow_patterns=wanted, local_files_only=True))
        if any(cached.glob(_WEIGHTS)):
            return cached
    except LocalEntryNotFoundError:
        pass
    except ValueError as error:
        raise MimicError(f"--depth-model {address}: neither a folder nor a hub name") from error
    try:
        return Path(snapshot_download(address, allow_patterns=wanted))
    except Exception as error:  # whatever the hub's client and its transports raise
        raise MimicError(
            f"--depth-model {address}: there is no such folder, and it cannot be had from the "
            f"Hugging Face hub ({type(error).__name__}); check the name and the connection, or "
            "name a folder that holds the model"
        ) from error


def _check_metric(address: str, folder: Path) -> None:
    config = _config(address, folder)
    kind = config.get("model_type", "unknown")
    if kind in METRIC_TYPES or config.get("depth_estimation_type") == "metric":
        return
    raise MimicError(
        f"--depth-model {address}: its config ({kind}) does not say that it predicts metres, and "
        f"relative depth cannot be labelled by; name a metric model, such as {SUGGESTION}"
    )


def _config(address: str, folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise MimicError(
            f"--depth-model {address}: holds no {_CONFIG} that can be read; name a folder that "
            "save_pretrained wrote, model and image processor both"
        ) from error
    return found if isinstance(found, dict) else {}


def _sha256(address: str, folder: Path) -> str:
    """Over names and contents of all that is read of a model."""
    weights = sorted(folder.glob(_WEIGHTS))
    if not weights:
        raise MimicError(
            f"--depth-model {address}: holds no weights in safetensors; other formats are not read"
        )
    total = hashlib.sha256()
    for path in [*(folder / name for name in (*_READ, _INDEX)), *weights]:
        if path.is_file():
            total.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    total.update(chunk)
    return total.hexdigest()


def _loaded(address: str, device: Device) -> tuple[Any, Any]:
    """The image processor and the model, ready to predict."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForDepthEstimation
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    folder = _folder_of(address)
    try:
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        model, info = AutoModelForDepthEstimation.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # transformers raises all kinds for files that do not fit
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise MimicError(f"--depth-model {address}: cannot be loaded ({first})") from error
    if info["missing_keys"]:
        lacking = sorted(info["missing_keys"])
        raise MimicError(
            f"--depth-model {address}: its weights lack {len(lacking)} tensors of the model, first "
            f"{lacking[0]}, which would be random; get the whole model"
        )
    return processor, model.eval().to(device)
